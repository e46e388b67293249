// What the transcripts run: for each command, command lines in a folder with tiny images, a run and what was made of it.
import { writeSatelliteData } from '../../../src/sample-data/satellite/write-places.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { tiny, tinyModel } from '../sherd.ts'

export interface Scene {
  readonly lines: readonly (readonly string[])[]
  /** Its text is that of the machine, of the time, or of a list that grows: its form is checked, and the text not kept. */
  readonly varies?: true
}

const model = ['--model', 'run']
const data = ['--data', 'photos']
const pretrain = ['pretrain', 'mae-tiny-cifar10', ...data, '--steps', '3', '--precision', 'fp32']
const bench = ['mae-tiny-cifar10', '--device', 'cpu', ...tinyModel(), '--set', 'train.batchSize=4']
const probe = [...model, ...data, '--out', 'report']
const tune = ['--epochs', '1', '--batch', '8', '--warm-up', '0', '--seeds', '1', '--precision', 'fp32']

/** What is there before each scene. */
export const given: readonly (readonly string[])[] = [
  [...pretrain, '--out', 'run', ...tiny()],
  ['export', 'onnx', ...model, '--out', 'graphs'],
  ['index', 'photos', '--model', 'graphs/encoder.onnx', '--out', 'found'],
  ['evaluate', 'finetune', ...model, ...data, '--out', 'tuned', ...tune, '--save', 'classifier.safetensors'],
  ['evaluate', 'knn', ...probe.slice(0, -1), 'near', '--neighbours', '3'],
]
export async function givenData(dir: (name: string) => string): Promise<void> {
  await writeSampleData({ dir: dir('photos'), count: 30, size: 24, seed: 3 })
  await writeSatelliteData({
    ...{ dir: dir('land'), count: 10, size: 16, seed: 1, dates: 1, layout: 'stack', masks: true },
  })
}

export const scenes: Readonly<Record<string, Scene>> = {
  presets: {
    lines: [['presets'], ['presets', 'mae-demo'], ['presets', '--keys', 'mask'], ['presets', 'mae-dmo']],
  },
  pretrain: {
    varies: true,
    lines: [
      [...pretrain, '--out', 'new', ...tiny()],
      ['pretrain', ...data, '--steps', '3'],
      ['pretrain', 'mae-tiny-cifar10', '--data', 'nowhere', '--out', 'new'],
      [...pretrain, '--out', 'run', ...tiny({ 'optim.weightDecay': 0.2 })],
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
  inspect: {
    lines: [
      ['inspect', 'photos'],
      ['inspect', 'run'],
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
