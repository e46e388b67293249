// What the transcripts run: for each command, command lines in a folder with tiny images, a run and what was made of it.
import { writeSatelliteData } from '../../../src/sample-data/satellite/write-places.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { writeMaskedSet } from '../../prepare/masks/make-masked.ts'
import { tiny, tinyModel, until } from '../sherd.ts'

export interface Scene {
  readonly lines: readonly (readonly string[])[]
  /** What is done while it runs, with what it has written up to now. */
  readonly meanwhile?: (written: () => string) => Promise<void>
  /** Its text is that of the machine, of the time, or of a list that grows: its form is checked, and the text not kept. */
  readonly varies?: true
}

const model = ['--model', 'run']
const data = ['--data', 'photos']
const pretrain = ['pretrain', 'mae-tiny-cifar10', ...data, '--steps', '3', '--precision', 'fp32']
const bench = ['mae-tiny-cifar10', '--device', 'cpu', ...tinyModel(), '--set', 'train.batchSize=4']
const probe = [...model, ...data, '--out', 'report']
const masked = [...model, '--data', 'shapes', '--epochs', '1', '--heads', 'linear', '--seeds', '1']
const tune = ['--epochs', '1', '--batch', '8', '--warm-up', '0', '--seeds', '1', '--precision', 'fp32']

const tinyCodes = [
  'train.batchSize=8',
  'model.imageSize=16',
  'model.width=8',
  'model.depth=1',
  'codebook.size=16',
].flatMap((each) => ['--set', each])

/** What is there before each scene. */
export const given: readonly (readonly string[])[] = [
  [...pretrain, '--out', 'run', ...tiny()],
  ['export', 'onnx', ...model, '--out', 'graphs'],
  [
    'pretrain',
    'vq-pixels-tiny-cifar10',
    ...data,
    '--out',
    'vq',
    '--steps',
    '3',
    '--precision',
    'fp32',
    ...tinyCodes,
  ],
  ['index', 'photos', '--model', 'graphs/encoder.onnx', '--out', 'found'],
  ['evaluate', 'finetune', ...model, ...data, '--out', 'tuned', ...tune, '--save', 'classifier.safetensors'],
  ['evaluate', 'knn', ...probe.slice(0, -1), 'near', '--neighbours', '3'],
  ['evaluate', 'segment', ...masked, '--out', 'seen', '--save', 'segmenter.safetensors'],
]
export async function givenData(dir: (name: string) => string): Promise<void> {
  await writeSampleData({ dir: dir('photos'), count: 30, size: 24, seed: 3 })
  await writeSatelliteData({
    ...{ dir: dir('land'), count: 10, size: 16, seed: 1, dates: 1, layout: 'stack', masks: true },
  })
  await writeMaskedSet({ dir: dir('shapes'), count: 10, width: 20, height: 16, seed: 1 })
}

/** The first request, its answer, Ctrl-C. */
async function askAndStop(written: () => string): Promise<void> {
  const address = () => written().match(/(?:\sat\s+|"url":")(http:[^\s"]+)/)?.[1]
  await until(() => /error:/.test(written()) || address() !== undefined, 'the address')
  if (address() === undefined) return
  const { status } = await fetch(`${address()}/v1/model`)
  if (status !== 200) throw new Error(`The server answered ${status}`)
  process.emit('SIGINT', 'SIGINT')
}

export const scenes: Readonly<Record<string, Scene>> = {
  'models list': {
    lines: [
      ['models', 'list', 'clip', 'any'],
      ['models', 'list'],
      ['models', 'dinov7'],
    ],
    varies: true,
  },
  'models show': {
    lines: [
      ['models', 'show', 'mae-base'],
      ['models', 'show', 'facebook/dinov2-smal'],
    ],
  },
  presets: {
    lines: [['presets'], ['presets', '--keys', 'mask'], ['presets', 'mae-dmo']],
  },
  demo: {
    lines: [
      ['demo', ...data, '--steps', '2', '--no-open'],
      ['demo', ...data, '--steps', '2'],
      ['demo', '--data', 'nowhere'],
    ],
  },
  plan: {
    lines: [
      ['plan', ...data, '--hours', '1', '--device', 'cpu'],
      ['plan', ...data, '--like', 'land'],
    ],
  },
  pretrain: {
    lines: [
      [...pretrain, '--out', 'new', ...tiny()],
      ['pretrain', ...data, '--steps', '3'],
      ['pretrain', 'mae-tiny-cifar10', '--data', 'nowhere', '--out', 'none'],
      [...pretrain, '--out', 'run', ...tiny({ 'optim.weightDecay': 0.2 })],
    ],
  },
  'masks preview': {
    lines: [
      ['masks', 'preview', 'mae-tiny-cifar10', ...data, '--out', 'm.png', '--count', '2'],
      ['masks', 'preview', ...data, '--out', 'm.txt'],
    ],
  },
  reconstruct: {
    lines: [
      ['reconstruct', ...model, '--data', 'photos', '--out', 'p.png', '--count', '2'],
      ['reconstruct', '--model', 'nowhere', '--data', 'photos', '--out', 'q.png'],
    ],
  },
  'evaluate knn': { lines: [['evaluate', 'knn', ...probe, '--neighbours', '3']] },
  'evaluate linear': {
    lines: [['evaluate', 'linear', ...probe, '--epochs', '2', '--rates', '0.1', '--seeds', '2']],
  },
  'evaluate fewshot': {
    lines: [
      [
        'evaluate',
        'fewshot',
        ...probe,
        '--epochs',
        '2',
        '--rates',
        '0.1',
        '--shots',
        '1,50%',
        '--seeds',
        '1',
      ],
    ],
  },
  'evaluate frozen': {
    lines: [
      ['evaluate', 'frozen', ...probe, '--epochs', '2', '--rates', '0.1', '--shots', '1', '--seeds', '1'],
    ],
  },
  'evaluate finetune': { lines: [['evaluate', 'finetune', ...probe, ...tune]] },
  'evaluate partial': { lines: [['evaluate', 'partial', ...probe, ...tune]] },
  'evaluate scratch': { lines: [['evaluate', 'scratch', ...probe, ...tune]] },
  'evaluate segment': { lines: [['evaluate', 'segment', ...masked, '--out', 'report']] },
  compare: {
    lines: [
      ['compare', 'near', 'tuned'],
      ['compare', 'near', 'photos'],
    ],
  },
  embed: {
    lines: [
      ['embed', 'photos', ...model, '--out', 'f.npy'],
      ['embed', 'photos', '--model', 'graphs/encoder.onnx', '--out', 'f.txt'],
      ['embed', 'photos'],
    ],
  },
  classify: { lines: [['classify', 'photos', '--model', 'classifier.safetensors', '--out', 'c.csv']] },
  segment: {
    lines: [
      ['segment', 'shapes/images', '--model', 'segmenter.safetensors', '--out', 'm'],
      ['segment', 'photos', '--model', 'run', '--out', 'n'],
    ],
  },
  tokenize: {
    lines: [
      ['tokenize', 'photos', '--model', 'vq', '--out', 'c.npy', '--sheet', 'c.png'],
      ['tokenize', 'photos', ...model, '--out', 'd.npy'],
    ],
  },
  look: {
    lines: [
      ['look', ...model, '--images', 'photos', '--count', '2', '--out', 'looked'],
      ['look', ...model, '--images', 'photos', '--block', '9', '--out', 'none'],
    ],
  },
  serve: {
    lines: [
      ['serve', '--model', 'graphs', '--port', '0', '--threads', '1'],
      ['serve', '--model', 'run'],
    ],
    meanwhile: askAndStop,
  },
  index: {
    lines: [
      ['index', 'photos', '--model', 'graphs/encoder.onnx', '--out', 'again'],
      ['index', '--out', 'found', '--update'],
    ],
  },
  search: {
    lines: [
      ['search', 'photos/coats/00000.jpg', '--index', 'found', '--count', '3', '--out', 's.png'],
      ['search', 'photos/none.jpg', '--index', 'found'],
    ],
  },
  duplicates: { lines: [['duplicates', '--index', 'found', '--csv', 'd.csv']] },
  outliers: { lines: [['outliers', '--index', 'found', '--count', '3', '--csv', 'o.csv']] },
  clusters: { lines: [['clusters', '--index', 'found', '--count', '3']] },
  'export onnx': { lines: [['export', 'onnx', ...model, '--out', 'made']] },
  'export huggingface': {
    lines: [['export', 'huggingface', ...model, '--out', 'hf', '--no-onnx']],
  },
  'export timm': { lines: [['export', 'timm', ...model, '--out', 'tm']] },
  import: { lines: [['import', 'photos', '--out', 'i.safetensors']] },
  download: { lines: [['download', 'dinov2-small']] },
  inspect: {
    lines: [
      ['inspect', 'photos'],
      ['inspect', 'run'],
      ['inspect', 'vq'],
      ['inspect', 'found', 'graphs/encoder.onnx', 'nowhere'],
    ],
  },
  pack: {
    lines: [
      ['pack', ...data, '--out', 'packed'],
      ['pack', ...data],
    ],
  },
  'sample-data': { lines: [['sample-data', '--out', 'more', '--count', '10', '--size', '16']] },
  doctor: { varies: true, lines: [['doctor']] },
  setup: { varies: true, lines: [['setup']] },
  verify: { lines: [['verify', 'nowhere.safetensors']] },
  'bench step': { varies: true, lines: [['bench', 'step', ...bench, '--steps', '2']] },
  'bench data': { varies: true, lines: [['bench', 'data', ...bench, ...data, '--batches', '2']] },
  'bench gemm': { varies: true, lines: [['bench', 'gemm', ...bench]] },
  // What they print are files, whose lines stay as they are.
  schema: { varies: true, lines: [['schema', 'eror']] },
  completion: { lines: [['completion', 'csh']] },
}
