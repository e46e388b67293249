/** `sherd index`: embeds a folder's images into a searchable index. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { Embedder } from '../../search/embedder.ts'
import type { IndexFacts, SearchKind } from '../../search/index-folder.ts'
import type { Indexed } from '../../search/make-index.ts'
import { expectVector, type FeatureName } from '../../token/feature.ts'
import { type EncoderFlags, showImages } from '../encoder-options.ts'
import { describeCommand, modelOption } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { deviceOption, featurePrecisionOption, imageSizeOption, poolOption } from '../options.ts'
import { noteThere, overwriteOption } from '../out-options.ts'
import { noteSkipped, print, printJson } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from '../reading-options.ts'
import { STOPPING, stopSignal } from '../signals.ts'
import { argumentOrOption } from '../spellings.ts'
import { indexPrecision, indexSize, warnOfModel } from './index-options.ts'

interface Flags extends ReadingFlags {
  readonly out: string
  readonly model?: string
  readonly features?: string
  readonly pool?: FeatureName
  readonly imageSize?: [height: number, width: number]
  readonly update?: boolean
  readonly exact?: boolean
  readonly approximate?: boolean
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision?: EncoderFlags['precision'] | undefined
  readonly overwrite?: boolean
  readonly json?: boolean
}

export function addIndex(root: Command): void {
  const command = describeCommand(root.command('index'), {
    group: 'Search images',
    page: 'search.md',
    examples: [
      'sherd index photos --model runs/photos --out photos.index  # embed a folder',
      'sherd index --out photos.index --update  # only what is new or has changed',
      'sherd index --features features.npy --out photos.index  # of vectors that are there',
    ],
  })
    .description('make an index of images, to search, compare and cluster them')
    .argument('[dir]', 'folder of images, of packed ones or of rasters')
    .requiredOption('--out <dir>', 'folder of the index')
    .addOption(
      modelOption({
        what: 'a run, a checkpoint of it, a .safetensors file, hf:owner/name of the Hugging Face hub, or an exported .onnx file or its folder',
        required: false,
        exported: 'encoder',
      }),
    )
    .option('--features <file>', 'instead of images: a .npy or .safetensors of "sherd embed"')
    .addOption(poolOption('the vector of an image', "the model's own"))
    .option('--update', 'bring the index up to date: embed what is new or has changed, drop what is gone')
    .addOption(new Option('--exact', 'no graph: every search compares all vectors').conflicts('approximate'))
    .option('--approximate', 'a graph, which is faster and misses some; by default from 50,000 images on')
    .addOption(imageSizeOption())
    .addOption(deviceOption())
    .addOption(featurePrecisionOption('fp32; with --update what the index was made in'))
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runIndex)
  argumentOrOption(command, '--data <dir>')
  addReadingOptions(command)
}

const kindOf = ({ exact, approximate }: Flags): { kind?: SearchKind } =>
  exact ? { kind: 'exact' } : approximate ? { kind: 'approximate' } : {}

const vectorOf = ({ pool }: Flags) => (pool === undefined ? undefined : expectVector(pool, 'An index'))

const watching = () => ({
  ...{ onProgress: showImages(), onGraph: counting('graph', 'images'), signal: stopSignal(STOPPING) },
})

async function runIndex(dir: string | undefined, flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  if (flags.features !== undefined) return runFeatures(dir, flags)
  const made = await (flags.update ? update(dir, flags) : create(dir, flags))
  endProgress()
  const { facts, embedded, removed, skipped, phrase } = made
  printIndexed(flags, { ...facts, phrase }, { embedded, removed, skipped: skipped.length })
  await warnOfModel(facts)
  if (flags.json) return
  noteSkipped(skipped)
}

/** Whose convention the vector is, to be printed behind its name. */
interface Phrased {
  readonly phrase: string
}

async function phraseOf(
  { feature, convention = null }: Embedder,
  { pooling }: Pick<IndexFacts, 'pooling'>,
): Promise<string> {
  const { asTaken } = await import('../../weights/how-taken.ts')
  return asTaken({ feature, convention }, pooling)
}

async function create(dir: string | undefined, flags: Flags): Promise<Indexed & Phrased> {
  if (dir === undefined || flags.model === undefined)
    throw new SherdError(
      'USAGE',
      'Say what to index: a folder with --model FILE.onnx, or --features FILE.npy of "sherd embed".',
    )
  const { openEmbedder } = await import('../../search/embedder.ts')
  const { claimIndex } = await import('../../search/claim-index.ts')
  const embedder = await openEmbedder(flags.model, { ...flags, reading: readingOf(flags) })
  sayHowRead(embedder)
  const done = await claimIndex(dir, embedder, {
    ...{ out: flags.out, overwrite: flags.overwrite, ...kindOf(flags), ...watching() },
    pooling: vectorOf(flags),
  })
  noteThere(flags.out, done)
  return { ...done.result, phrase: await phraseOf(embedder, done.result.facts) }
}

async function update(dir: string | undefined, flags: Flags): Promise<Indexed & Phrased> {
  const { openIndex } = await import('../../search/index-folder.ts')
  const { openEmbedder } = await import('../../search/embedder.ts')
  const { claimUpdate } = await import('../../search/claim-index.ts')
  const index = await openIndex(flags.out, { exact: true })
  const { source, model, pooling } = index.facts
  if (dir !== undefined && source && resolve(dir) !== source.dir)
    throw new SherdError('USAGE', `${flags.out} is an index of ${source.dir}, not of ${resolve(dir)}.`)
  const path = flags.model ?? model?.path
  if (path === undefined) throw new SherdError('USAGE', `${flags.out} does not know its model: give --model.`)
  const embedder = await openEmbedder(path, {
    ...flags,
    ...indexPrecision(index, path, flags),
    ...indexSize(index, flags),
    reading: readingOf(flags),
  })
  if (flags.pool && embedder.featureOf(flags.pool).name !== pooling)
    throw new SherdError('USAGE', `${flags.out} holds ${pooling} vectors: leave --pool out.`)
  sayHowRead(embedder)
  const made = await claimUpdate(index, embedder, { ...kindOf(flags), ...watching() })
  return { ...made, phrase: await phraseOf(embedder, made.facts) }
}

async function runFeatures(dir: string | undefined, flags: Flags): Promise<void> {
  const isUseless =
    flags.model !== undefined || flags.update || flags.precision !== undefined || flags.imageSize
  if (dir !== undefined || isUseless)
    throw new SherdError(
      'USAGE',
      '--features brings its own vectors: leave the folder, --model, --precision and --update out.',
    )
  const { claimFeatures } = await import('../../search/claim-index.ts')
  const { onGraph, signal } = watching()
  const done = await claimFeatures(flags.features!, {
    ...{
      out: flags.out,
      overwrite: flags.overwrite,
      ...kindOf(flags),
      onGraph,
      signal,
      pooling: vectorOf(flags),
    },
  })
  noteThere(flags.out, done)
  printIndexed(flags, done.result, { embedded: 0, removed: 0, skipped: 0 })
  await warnOfModel(done.result)
}

function printIndexed(
  { out, json, update, features }: Flags,
  { count, width, pooling: feature, graph, model, phrase = '' }: IndexFacts & Partial<Phrased>,
  changes: { embedded: number; removed: number; skipped: number },
): void {
  const precision = model?.precision ?? null
  const search = graph
    ? { kind: 'approximate' as const, recall: graph.recall, expansionSearch: graph.expansionSearch }
    : { kind: 'exact' as const }
  if (json) {
    printJson({
      ...{ kind: 'index', index: resolve(out), images: count, width, feature, precision, ...changes, search },
    })
    return
  }
  const how = graph
    ? `approximate search: it finds ${(100 * graph.recall).toFixed(1)} % of the ten nearest (expansion ${graph.expansionSearch})`
    : 'exact search'
  print(
    `${count} images, ${width} numbers each (${feature}${phrase})${precision === null ? '' : `, computed in ${precision}`}; ${how}: ${resolve(out)}`,
  )
  if (update) print(`${changes.embedded} embedded, ${changes.removed} removed`)
  if (!features && changes.skipped > 0) print(`${changes.skipped} could not be read`)
}
