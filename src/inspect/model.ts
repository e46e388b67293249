/** Models: runs, checkpoints, files of weights, exported graphs, and those of other programs. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { damageOf, listCheckpoints } from '../checkpoint/checkpoint.ts'
import { openRun, type RunFacts, runPaths } from '../checkpoint/run-folder.ts'
import { type Header, readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { readWeightsMetadata, type WeightsOrigin } from '../checkpoint/weights-metadata.ts'
import { fittingOf, objectiveOf } from '../config/assemble.ts'
import { hiddenInWords, targetInWords, yieldsOf } from '../config/in-words.ts'
import {
  backboneOf,
  bandsOf,
  dimensionsOf,
  framesOf,
  masksOf,
  targetKeysOf,
  totalSteps,
} from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { readOfModel } from '../config/tables.ts'
import { SherdError } from '../errors.ts'
import { graphOfFormat } from '../export/formats.ts'
import { FORMAT_KEY } from '../export/metadata.ts'
import { readRegular } from '../files/regular-file.ts'
import { quoted } from '../files/shell.ts'
import { openForeign } from '../import/foreign.ts'
import { readForeign } from '../import/foreign-model.ts'
import { planImport } from '../import/import.ts'
import { layouts } from '../import/layouts.ts'
import { refuseForeignNames } from '../import/not-imported.ts'
import { backboneRows } from '../model/backbone.ts'
import { parameterCount } from '../model/parameters.ts'
import { readMetadata } from '../onnx/onnx-file.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import { findWeights } from '../weights/open-encoder.ts'
import {
  bytesOf,
  countOf,
  type Description,
  describe,
  figure,
  grouped,
  listed,
  type Row,
  reasonFrom,
  rowsOf,
  sentence,
  sized,
} from './inspected.ts'

const millions = (count: number) => (count >= 1e6 ? `${(count / 1e6).toFixed(1)} million` : grouped(count))
const sides = (side: number | readonly [number, number]) => {
  const [h, w] = [side, side].flat() as number[]
  return typeof side === 'number' || h === w ? String(h) : sized(w!, h!)
}

/** What a configuration builds, for people and for programs. */
function modelOf(config: Config, statistics: ChannelStatistics | null) {
  const { imageSize, patchSize, channels, width, depth, heads } = dimensionsOf(config)
  const { objective } = config
  const target = targetInWords(config)
  const [bands, frames] = [bandsOf(config), framesOf(config)]
  const isConvolutional = readOfModel(config.objective) !== null
  const encoderParameters = parameterCount(
    isConvolutional
      ? objectiveOf(config, 'cpu').rows.filter(({ name }) => name.startsWith('encoder.'))
      : backboneRows(backboneOf(config)),
  )
  const budget = fittingOf(config)?.budget
  const values = bands
    ? `${countOf(bands.length, 'band')}: ${listed(bands, 16)}`
    : countOf(channels, 'channel')
  const rows: Row[] = [
    [
      'model',
      `${isConvolutional ? `convolutions of width ${width}, ${countOf(depth, 'residual block')}` : `ViT of ${countOf(depth, 'block')}, width ${width}, ${heads} heads`}; encoder of ${millions(encoderParameters)} parameters`,
    ],
    ...('codebook' in config
      ? [['codes', `${grouped(config.codebook.size)} of ${countOf(config.codebook.width, 'number')}`] as Row]
      : []),
    [
      'takes',
      `${budget ? `images of any shape, up to ${grouped(budget.most)} patches of ${sides(patchSize)}` : `${sized(imageSize[1], imageSize[0])} pixels in patches of ${sides(patchSize)}`}, ${values}${frames > 1 ? `, ${frames} dates` : ''}`,
    ],
    [
      'learns',
      [objective, hiddenInWords(config), target && `target: ${target}`]
        .filter((part) => part !== null)
        .join(', '),
    ],
  ]
  const facts = {
    model: { imageSize, patchSize, channels, width, depth, heads, bands, frames },
    ...{ encoderParameters, objective, statistics },
    codebook: 'codebook' in config ? { size: config.codebook.size, width: config.codebook.width } : null,
    ...{ maskRatio: masksOf(config)?.ratio ?? null, target: targetKeysOf(config)?.kind ?? null },
  }
  return { rows, facts }
}

const rowsOfFacts = ({ preset, data, init, started, engine }: RunFacts): Row[] => [
  ['from', `preset ${preset}; begun ${started.slice(0, 16).replace('T', ' ')}${init ? ` with ${init}` : ''}`],
  [
    'data',
    `${data.dir}: ${countOf(data.files, 'file')}${data.classes.length > 0 ? ` in ${data.classes.length} classes (${listed(data.classes, 4)})` : ''}`,
  ],
  ['engine', `LibTorch ${engine.libtorch}, ${engine.device}, ${engine.precision}`],
]

const factsOfRun = ({ preset, data, init, started, engine }: RunFacts) => ({
  ...{ preset, data, init: init ?? null, started, engine },
})

const usesOf = (path: string, config: Config): string[] => [
  ...(bandsOf(config) === null ? [`sherd export onnx --model ${quoted(path)} --out models --data DIR`] : []),
  ...(yieldsOf(config).includes('codes')
    ? [
        `sherd tokenize DIR --model ${quoted(path)} --out codes.npy --sheet codes.png`,
        `sherd pretrain PRESET --set target.kind=codes --set target.tokenizer=${quoted(path)} --data DIR --out runs/codes`,
      ]
    : []),
  ...(yieldsOf(config).includes('features')
    ? [`sherd evaluate linear --model ${quoted(path)} --data LABELLED --out reports/linear`]
    : []),
]

export async function describeRun(path: string): Promise<Description> {
  const { config, facts } = openRun(path)
  const steps = totalSteps(config, facts.data.files)
  const checkpoints = listCheckpoints(runPaths(path).checkpoints)
  const states = checkpoints.map((each) => ({ ...each, damage: damageOf(each.path) }))
  const good = states.findLast(({ damage }) => damage === null) ?? null
  const broken = states.filter(({ damage }) => damage !== null)
  const step = good?.step ?? 0
  const isDone = step >= steps
  const model = modelOf(config, facts.statistics)
  const listedStates = states.map(
    ({ step, damage }) => `${grouped(step)}${damage === null ? '' : ' (damaged)'}`,
  )
  return describe('run of sherd', {
    reason:
      good || checkpoints.length === 0 ? null : `none of its checkpoints is whole: ${broken.at(-1)!.damage}`,
    rows: [
      ...model.rows,
      ...rowsOfFacts(facts),
      ['step', `${grouped(step)} of ${grouped(steps)}${isDone ? ', complete' : ''}`],
      [
        'whole',
        states.length === 0
          ? 'no checkpoint yet'
          : `${countOf(states.length, 'checkpoint')}: ${listedStates.join(', ')}`,
      ],
    ],
    facts: {
      ...{ ...model.facts, ...factsOfRun(facts), step, steps, complete: isDone },
      checkpoints: states.map(({ step, damage }) => ({ step, damage })),
    },
    notes: broken.map(({ path, damage }) => `${path} is damaged: ${damage}.`),
    next: [
      ...(isDone ? [] : [`sherd pretrain --out ${quoted(path)} --resume`]),
      ...(good
        ? [`sherd reconstruct --model ${quoted(path)} --data DIR --out rebuilt.png`, ...usesOf(path, config)]
        : []),
    ],
  })
}

/** A checkpoint, or a file of weights that says what it is. */
async function describeOwn(path: string, header: Header | null): Promise<Description> {
  const found = await findWeights({ model: path })
  const { config, statistics, facts, step } = found
  const count = [...(header ?? readSafetensorsHeader(found.files[0]!)).entries.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1),
    0,
  )
  const head = headOf(found)
  const model = modelOf(config, statistics)
  const title = facts && !header ? 'checkpoint of a run' : (head?.title ?? 'weights of sherd')
  return describe(title, {
    rows: rowsOf(
      ...model.rows,
      ...(head?.rows ?? []),
      ['holds', `${millions(count)} numbers`],
      step !== null && ['step', grouped(step)],
      ...(facts ? rowsOfFacts(facts) : []),
    ),
    facts: {
      ...{ ...model.facts, numbers: count, step, classes: head?.classes ?? null },
      ...{ protocol: found.protocol ?? null, ...(facts && factsOfRun(facts)) },
    },
    ...{ notes: found.warnings ?? [], next: head ? head.next(path) : usesOf(path, config) },
  })
}

function headOf({ classifier, segmenter, protocol }: WeightsOrigin) {
  const found = classifier ?? segmenter
  if (!found) return null
  const what = classifier ? 'classifier' : 'segmenter'
  return {
    title: `${what} of sherd`,
    classes: found.classes,
    rows: [classesRow(found), ['head', `${found.head}${protocol ? `, by ${protocol}` : ''}`]] as const,
    next: (path: string) => [
      `sherd ${classifier ? 'classify' : 'segment'} DIR --model ${quoted(path)} --out ${classifier ? 'classes.csv' : 'masks'}`,
    ],
  }
}

export const describeCheckpoint = (path: string): Promise<Description> => describeOwn(path, null)

/** Files of the safetensors format, of any program. */
export async function describeSafetensors(path: string): Promise<Description> {
  const header = readSafetensorsHeader(path)
  const { metadata, entries } = header
  if (readWeightsMetadata(path, metadata)) return describeOwn(path, header)
  if (basename(path) === 'model.safetensors' && existsSync(join(dirname(path), 'state.json')))
    return describeOwn(path, header)
  if (isForeign(path, header) || existsSync(join(dirname(path), 'config.json'))) return describeForeign(path)
  const names = [...entries.keys()]
  const tensors = [...entries].slice(0, 1000).map(([name, { dtype, shape }]) => [name, { dtype, shape }])
  const said = {
    rows: rowsOf(['holds', `${countOf(names.length, 'tensor')}: ${listed(names, 4)}`]),
    facts: { tensors: Object.fromEntries(tensors), metadata },
  }
  if (!names.includes('blocks.0.attn.qkv.weight'))
    return describe('tensors', { ...said, notes: ['These are not the names of a model that sherd knows.'] })
  return describe("weights with sherd's names", {
    ...said,
    notes: [
      'It does not say what the model is: commands need the preset that it was made with (--preset NAME).',
    ],
    next: [`sherd embed DIR --model ${quoted(path)} --preset NAME --out features.npy`],
  })
}

function isForeign(path: string, header: Header): boolean {
  try {
    refuseForeignNames(path, header)
    return false
  } catch {
    return true
  }
}

const MOST_CARD = 1 << 20

/** The licence that a model card says in its first lines. */
function licenceOf(folder: string): string | null {
  try {
    const [, front = ''] = /^---\n(.*?)\n---/s.exec(readRegular(join(folder, 'README.md'), MOST_CARD)) ?? []
    return /^license:\s*["']?([\w .-]{1,80})/m.exec(front)?.[1]?.trim() ?? null
  } catch {
    return null
  }
}

/** Weights of other programs, as `sherd import` reads them. */
export async function describeForeign(path: string): Promise<Description> {
  const isFolder = statSync(path).isDirectory()
  const title = isFolder
    ? 'folder of Hugging Face (transformers or timm)'
    : /\.safetensors$/i.test(path)
      ? 'weights of another program'
      : 'PyTorch file'
  const licence = isFolder ? licenceOf(path) : null
  const out = `${basename(path).replace(/\.(?:safetensors|bin|pth|pt|ckpt|pkl)$/i, '')}-imported.safetensors`
  const command = `sherd import ${quoted(path)} --out ${quoted(out)}`
  const licenceRow = licence !== null && (['licence', licence] as const)
  try {
    return await planImport(
      { from: path },
      ({ config, statistics, layout, rows, classifier, notes }): Description => {
        const model = modelOf(config, statistics)
        const loaded = rows.filter(({ status }) => status === 'loaded' || status === 'reshaped')
        return describe(title, {
          rows: rowsOf(
            ...[['layout', layouts[layout].title] as const, ...model.rows.slice(0, 2)],
            ...[classifier && classesRow(classifier), normalised(statistics), licenceRow],
          ),
          facts: {
            ...{ layout, ...model.facts, classes: classifier?.classes ?? null, licence },
            ...{ multiLabel: classifier?.isMultiLabel ?? false, parameters: loaded.length },
          },
          ...{ notes: notes.map(sentence), next: [command] },
        })
      },
    )
  } catch (error) {
    const reason = reasonFrom(error, path)
    // What an option decides is no fault of the file: it is described as far as it says itself.
    const isOption = error instanceof SherdError && error.code === 'USAGE'
    if (!isOption) return describe(title, { reason, rows: rowsOf(licenceRow), facts: { licence } })
    const { unsaid, notes, ...said } = await sayUnsaid(path)
    return describe(title, {
      rows: rowsOf(...said.rows, licenceRow),
      facts: { ...said.facts, licence, unsaid },
      notes: [...notes.map(sentence), reason],
      next: [[command, ...unsaid.map((key) => `--set ${key}=…`)].join(' ')],
    })
  }
}

/** Weights whose import needs an option. */
async function sayUnsaid(path: string) {
  const weights = await openForeign(path)
  try {
    const { layout, config, classifier, open, statistics, hasDecoder, notes } = await readForeign(weights)
    const unsaid = open.filter(({ atOwnSize }) => atOwnSize === undefined).map(({ key }) => key)
    const { width, depth = 0, patchSize, imageSize, channels } = config.model ?? {}
    const size = imageSize as readonly [number, number]
    const decoder = hasDecoder ? ', with its decoder' : ''
    const values = channels === undefined ? '' : `, ${countOf(channels, 'channel')}`
    const rows = [
      ['layout', layouts[layout].title] as const,
      ['model', `ViT of ${countOf(depth, 'block')}, width ${width}${decoder}`] as const,
      ['takes', `${sized(size[1], size[0])} pixels in patches of ${sides(patchSize!)}${values}`] as const,
      ...[classifier && classesRow(classifier), statistics && normalised(statistics)],
    ]
    const classes = classifier?.classes ?? null
    return { rows, facts: { layout, model: config.model, hasDecoder, classes, statistics }, notes, unsaid }
  } finally {
    await weights.close()
  }
}

const classesRow = ({ classes }: { readonly classes: readonly string[] }): Row => [
  'classes',
  `${classes.length}: ${listed(classes)}`,
]
const normalised = ({ mean, std }: ChannelStatistics): Row => [
  'normalised',
  `by mean ${mean.map(figure).join(', ')} and deviation ${std.map(figure).join(', ')}`,
]

export async function describeOnnx(path: string): Promise<Description> {
  const metadata = readMetadata(path)
  const graph = graphOfFormat(metadata[FORMAT_KEY])
  const size = bytesOf(statSync(path).size)
  if (!graph)
    return describe('ONNX graph of another program', {
      reason: 'it does not say how images are read for it: expected a file of "sherd export onnx"',
      ...{ rows: [['file', size]], facts: { metadata } },
    })
  const origin = readWeightsMetadata(path, metadata)
  if (!origin) throw new SherdError('CHECKPOINT', 'it has lost the configuration of its model')
  const { config, statistics } = origin
  const head = headOf(origin)
  const next: Readonly<Record<typeof graph, string>> = {
    encoder: `sherd index DIR --model ${quoted(path)} --out index`,
    autoencoder: `sherd serve --model ${quoted(dirname(path))}`,
    classifier: `sherd classify DIR --model ${quoted(path)} --out classes.csv`,
    segmenter: `sherd segment DIR --model ${quoted(path)} --out masks`,
    encode: 'run it with ONNX Runtime: pixels in, a code for each patch out',
    decode: 'run it with ONNX Runtime: a code for each patch in',
  }
  const { 'sherd.step': said, 'sherd.precision': precision = 'fp32' } = metadata
  const step = said === undefined ? null : Number(said)
  const model = modelOf(config, statistics)
  return describe(`exported ${graph} (ONNX)`, {
    rows: [
      ...model.rows,
      ...(head?.rows ?? []),
      ['file', `${size}, ${precision}${step === null ? '' : `, of step ${grouped(step)}`}`],
    ],
    facts: { graph, precision, step, classes: head?.classes ?? null, ...model.facts },
    next: [next[graph]],
  })
}

/** A folder of exported graphs. */
export async function describeExports(path: string): Promise<Description> {
  const files = readdirSync(path).filter((name) => /\.onnx$/i.test(name))
  return describe('folder of exported graphs', {
    ...{ rows: [['files', listed(files)]], facts: { files } },
    next: [`sherd serve --model ${quoted(path)}`],
  })
}
