/** `sherd export onnx`: a model as graphs for ONNX Runtime. */
import { basename } from 'node:path'
import { type Command, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import type { Exported } from '../../export/export-onnx.ts'
import { type GraphName, graphNames } from '../../export/formats.ts'
import type { ExportPrecision } from '../../export/precision.ts'
import { sealOf } from '../../files/durable.ts'
import { fingerprintOf } from '../../files/fingerprint.ts'
import { addModelOptions, type ModelFlags, requestOf } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { share, wholeNumber } from '../options.ts'
import { noteThere, overwriteOption } from '../out-options.ts'
import { print, printJson, warn } from '../output.ts'
import { counting, phases } from '../progress.ts'
import { addReadingOptions, type ReadingFlags } from '../reading-options.ts'
import { hearSecondSignal, stopSignal } from '../signals.ts'
import { oldSpelling } from '../spellings.ts'
import { modelSeal } from './model-seal.ts'

interface Flags extends ModelFlags, ReadingFlags {
  readonly out: string
  readonly graphs?: readonly GraphName[]
  readonly attention?: boolean
  readonly dynamicGrid?: number
  readonly precision: readonly ExportPrecision[]
  readonly data?: string
  readonly leastCosine?: number
  readonly leastOverlap?: number
  readonly overwrite?: boolean
  readonly json?: boolean
}

const choices: readonly ExportPrecision[] = ['fp32', 'fp16', 'int8']

export function addExportOnnx(root: Command): void {
  const command = addModelOptions(
    describeCommand(root.command('onnx'), {
      page: 'export.md',
      examples: [
        'sherd export onnx --run runs/photos --out export  # the encoder, in float32',
        'sherd export onnx --run runs/photos --out export --precision fp32 int8 --data photos  # also a smaller file, and what it costs',
        'sherd export onnx --run runs/photos --out export --graphs encoder autoencoder  # also what rebuilds images',
      ],
    }).description('write a model for ONNX Runtime, compared with LibTorch'),
  )
    .requiredOption('--out <dir>', 'folder to write encoder.onnx, autoencoder.onnx … to')
    .addOption(
      new Option(
        '--graphs <which...>',
        'what of the model (default: the classifier or segmenter that it is, else the encoder)',
      ).choices(graphNames),
    )
    .addOption(
      new Option('--precision <which...>', 'a file for each').choices(choices).default(['fp32'], 'fp32'),
    )
    .option(
      '--attention',
      'let the encoder give its attention in every block, too: of cls, or the mean of the patches',
    )
    .addOption(
      new Option(
        '--dynamic-grid [pixels]',
        'let encoder and classifier take any height and width that the patch divides, up to so many pixels (2048)',
      )
        .preset('2048')
        .argParser(wholeNumber(1)),
    )
    .option(
      '--data <dir>',
      'compare on images of this folder, besides random ones: what fp16 and int8 cost on them',
    )
    .addOption(
      new Option(
        '--least-cosine <number>',
        'no file of fp16 or int8 whose vectors have a smaller one with those of float32 (default: 0.999, 0.99)',
      ).argParser(share),
    )
    .addOption(
      new Option(
        '--least-overlap <share>',
        "no encoder of fp16 or int8 that keeps less of the ten nearest of --data's images (default: 0.95, 0.8)",
      ).argParser(share),
    )
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON, a line for each file')
    .action(runExport)
  oldSpelling(command, '--images <dir>', '--data')
  addReadingOptions(command)
}

async function runExport({
  out,
  graphs,
  precision,
  data: images,
  attention = false,
  dynamicGrid,
  leastCosine,
  leastOverlap,
  overwrite,
  ...flags
}: Flags): Promise<void> {
  const { preset, set, modelSeed, bands, imageSize, config } = flags
  const { exportOnnx } = await import('../../export/export-onnx.ts')
  const { openModel, usualGraphs } = await import('../../export/model-parts.ts')
  const request = await requestOf({ ...flags, device: 'cpu' }, images)
  const signal = stopSignal('stopping after this batch; files that are finished stay')
  const wanted = [...new Set(graphs ?? (await usualGraphs(request)))]
  if (!wanted.includes('encoder') && attention)
    throw new SherdError('USAGE', '--attention is of the encoder: add it to --graphs.')
  if (!wanted.some((name) => name === 'encoder' || name === 'classifier') && dynamicGrid !== undefined)
    throw new SherdError('USAGE', '--dynamic-grid is of encoder and classifier: add one to --graphs.')
  const model = await openModel(request, wanted)
  sayHowRead(model)
  if (images === undefined && wanted.includes('encoder') && precision.some((name) => name !== 'fp32'))
    warn(
      'Without --data nothing is known of what a smaller precision costs on your images; it is compared on random ones alone.',
    )
  const grid = dynamicGrid === undefined ? null : { most: dynamicGrid }
  const options = {
    out,
    images,
    bars: {
      ...(leastCosine !== undefined && { leastCosine }),
      ...(leastOverlap !== undefined && { leastOverlap }),
    },
    attention,
    dynamicGrid: grid,
    graphs: wanted,
    precisions: [...new Set(precision)],
    made: {
      options: { preset, set: set.length > 0 ? set : undefined, modelSeed, bands, imageSize },
      inputs: {
        model: await modelSeal(request),
        ...(images !== undefined && { images: fingerprintOf(images) }),
        ...(config !== undefined && { config: sealOf(config).sha256 }),
      },
    },
    overwrite,
    onThere: (file: string) => noteThere(file, { wasThere: true }),
    onPhase: phases(),
    onProgress: (file: string | null) =>
      file === null ? counting('reading', 'images') : counting(`comparing ${basename(file)}`, 'batches'),
    signal,
  }
  await hearSecondSignal()
  for await (const exported of exportOnnx({ model, ...options }))
    if (flags.json) printJson({ kind: 'graph', ...exported })
    else print(describe(exported))
}

const MOST_SIZES = 6
const sizesText = (sizes: readonly (readonly [number, number])[]) =>
  sizes.length > MOST_SIZES
    ? `${sizes.length} sizes`
    : `sizes of ${sizes.map((size) => size.join(' × ')).join(', ')}`

export function describe({ file, bytes, comparisons, speed }: Omit<Exported, 'graph' | 'precision'>): string {
  const { onnx, libtorch, batch } = speed
  return [
    `${file}: ${(bytes / 1e6).toFixed(1)} MB`,
    ...comparisons.flatMap(({ samples, count, batches, sizes, largest, cosine, features = {} }) => [
      `  ${count} ${samples === 'random' ? 'random samples' : 'images'} in batches of ${[...new Set(batches)].join(', ')}` +
        `${sizes ? ` and ${sizesText(sizes)}` : ''}: ` +
        `largest difference ${largest.toExponential(2)}, smallest cosine ${cosine.toFixed(6)}`,
      ...Object.entries(features).map(
        ([name, { meanCosine, leastCosine, overlap }]) =>
          `    ${name}: cosine ${meanCosine.toFixed(6)} in the mean, ${leastCosine.toFixed(6)} at least; ` +
          (overlap === null
            ? 'too few images to compare which are near'
            : `${(100 * overlap).toFixed(1)} % of the ten nearest images stay`),
      ),
    ]),
    `  ${onnx.toFixed(1)} images/s; LibTorch in float32 ${libtorch.toFixed(1)} (batches of ${batch})`,
  ].join('\n')
}
