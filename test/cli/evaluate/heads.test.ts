// From labels to a file that says classes anywhere: saved, exported, used without LibTorch, handed to other programs.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../../src/checkpoint/safetensors.ts'
import type { Report } from '../../../src/evaluate/evaluate.ts'
import type { SegmentationReport } from '../../../src/evaluate/evaluate-segmentation.ts'
import { importWeights } from '../../../src/import/import.ts'
import { readIndexMask } from '../../../src/prepare/masks/index-mask.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { classifierLogits, openClassifier } from '../../../src/weights/open-classifier.ts'
import { writeMaskedSet } from '../../prepare/masks/make-masked.ts'
import { expectClose } from '../../tolerance.ts'
import { inProcess, set, sherd, tinyModel, workFolder } from '../sherd.ts'

const random = [
  ...['--model', 'random', '--preset', 'mae-demo', ...tinyModel()],
  ...set({ 'data.statistics': 'imagenet' }),
]
const learn = ['--epochs', '2', '--warm-up', '0', '--rate', '0.02', '--batch', '16', '--seeds', '1']

let cwd: string
let withoutLibtorch: { cwd: string; env: NodeJS.ProcessEnv }
beforeAll(async () => {
  cwd = await workFolder()
  withoutLibtorch = { cwd, env: { LIBTORCH: join(cwd, 'nowhere'), XDG_CACHE_HOME: join(cwd, 'cache') } }
  await writeSampleData({ dir: join(cwd, 'set/train'), count: 60, size: 20, seed: 1 })
  await writeSampleData({ dir: join(cwd, 'set/test'), count: 30, size: 20, seed: 2 })
  await writeMaskedSet({ dir: join(cwd, 'masked/train'), count: 12, width: 40, height: 32, seed: 1 })
  await writeMaskedSet({ dir: join(cwd, 'masked/test'), count: 6, width: 40, height: 32, seed: 2 })
})

const json = (...path: string[]) => JSON.parse(readFileSync(join(cwd, ...path), 'utf8'))
const finetune = (name: string, ...args: string[]) => {
  const save = ['--out', `report-${name}`, '--save', `${name}.safetensors`, '--precision', 'fp32', ...args]
  return inProcess(['evaluate', 'finetune', ...random, '--data', 'set', ...learn, ...save], { cwd })
}

describe('a fine-tuned classifier', () => {
  it('is exported as what it is, and says classes without LibTorch as it does with it', async () => {
    const { status, stdout } = await finetune('cls', '--head', 'cls')
    expect(status).toBe(0)
    expect(stdout).toContain(`classifier of seed 0: ${join(cwd, 'cls.safetensors')}`)
    const exporting = ['export', 'onnx', '--model', 'cls.safetensors', '--out', 'onnx', '--data', 'set/test']
    const exported = await inProcess([...exporting, '--json'], { cwd })
    expect(exported.json()).toMatchObject([
      { graph: 'classifier', comparisons: [{ samples: 'random' }, { samples: 'images', count: 30 }] },
    ])
    for (const { largest } of exported.json()[0]!.comparisons as { largest: number }[])
      expect(largest).toBeLessThan(1e-4)
    expect(readdirSync(join(cwd, 'onnx'))).toEqual(['.classifier.onnx.made.json', 'classifier.onnx'])

    const classify = ['classify', 'set/test', '--json', '--out']
    const [torch, onnx] = await Promise.all([
      inProcess([...classify, 'torch.json', '--model', 'cls.safetensors'], { cwd }),
      sherd([...classify, 'onnx.json', '--model', 'onnx/classifier.onnx'], withoutLibtorch),
    ])
    expect([torch.status, onnx.status, onnx.stderr]).toEqual([
      0,
      0,
      expect.not.stringMatching(/warning|error/),
    ])
    const report = json('report-cls/report.json') as Report
    for (const { json } of [torch, onnx])
      expect(json()).toMatchObject([{ images: 30, labelled: 30, skipped: 0, top1: report.scores.top1 }])
    const [a, b] = [json('torch.json'), json('onnx.json')]
    expect(b).toMatchObject({ format: 'sherd-predictions/1', classes: a.classes })
    expect(a.images[0].top).toHaveLength(5)
    const flat = ({ images }: typeof a) =>
      images.flatMap(({ top }: { top: { probability: number }[] }) => top.map((guess) => guess.probability))
    expectClose(flat(b), flat(a), 1e-5)
  })

  it('goes to transformers with a head on cls, to timm with one on the mean, and comes back the same', async () => {
    await finetune('mean')
    for (const [library, name] of [
      ['huggingface', 'cls'],
      ['timm', 'mean'],
    ] as const) {
      const out = `folder-${name}`
      const exporting = ['export', library, '--model', `${name}.safetensors`, '--out', out, '--json']
      const { json: told } = await inProcess(exporting, { cwd })
      expect(told()).toMatchObject([{ task: 'classification' }])
      const names = (json('report-cls/report.json') as Report).classes
      const config = json(out, 'config.json')
      const card = readFileSync(join(cwd, out, 'README.md'), 'utf8')
      expect(card).toContain('Its head was learned by `sherd evaluate finetune`')
      if (library === 'timm') expect(config).toMatchObject({ label_names: names, global_pool: 'avg' })
      else expect(Object.values(config.id2label)).toEqual(names)
      const again = join(cwd, `again-${name}.safetensors`)
      await importWeights({ from: join(cwd, out), out: again, set: ['train.precision=fp32'] })
      const logits = async (model: string) =>
        (await classifierLogits(await openClassifier({ model, device: 'cpu' }), join(cwd, 'set/test'))).logits
      expectClose(await logits(again), await logits(join(cwd, `${name}.safetensors`)), 1e-6)
    }
    const other = await inProcess(
      ['export', 'huggingface', '--model', 'mean.safetensors', '--out', 'of-mean'],
      {
        cwd,
      },
    )
    expect(other.status).toBe(0) // a class of transformers that reads the mean, too
  })

  it('has an encoder that embeds and is exported beside it', async () => {
    const both = [
      'export',
      'onnx',
      '--model',
      'mean.safetensors',
      '--out',
      'both',
      '--graphs',
      'encoder',
      'classifier',
    ]
    expect((await inProcess(both, { cwd })).status).toBe(0)
    const graphs = readdirSync(join(cwd, 'both')).filter((name) => !name.startsWith('.'))
    expect(graphs.sort()).toEqual(['classifier.onnx', 'encoder.onnx'])
    const embed = await sherd(
      ['embed', 'set/test', '--model', 'both/encoder.onnx', '--out', 'e.npy', '--json'],
      withoutLibtorch,
    )
    expect(embed.json()).toMatchObject([{ images: 30, width: 32 }])
    const wrong = ['classify', 'set/test', '--model', 'both/encoder.onnx', '--out', 'x.csv']
    expect((await inProcess(wrong, { cwd })).stderr).toContain('holds the graph of the encoder')
  })
})

it('a linear probe is saved as the classifier that it is', async () => {
  const probing = ['evaluate', 'linear', ...random, '--data', 'set', '--out', 'report-probe', '--epochs', '4']
  const { status } = await inProcess([...probing, '--seeds', '2', '--save', 'probe.safetensors'], { cwd })
  expect(status).toBe(0)
  const out = await inProcess(
    ['classify', 'set/test', '--model', 'probe.safetensors', '--out', 'probe.csv', '--json'],
    { cwd },
  )
  expect(out.json()).toMatchObject([{ top1: (json('report-probe/report.json') as Report).scores.top1 }])
  expect(readFileSync(join(cwd, 'probe.csv'), 'utf8').split('\r\n')[0]).toMatch(
    /^file,label,class,probability,/,
  )
})

it('a segmenter is saved, exported, and draws the same masks without LibTorch', async () => {
  const learning = [
    'evaluate',
    'segment',
    ...random,
    '--data',
    'masked',
    '--out',
    'report-seg',
    '--seeds',
    '1',
  ]
  const one = ['--heads', 'conv', '--epochs', '3', '--rate', '0.01', '--save', 'seg.safetensors']
  expect((await inProcess([...learning, ...one], { cwd })).status).toBe(0)
  const exporting = [
    'export',
    'onnx',
    '--model',
    'seg.safetensors',
    '--out',
    'onnx-seg',
    '--data',
    'masked/test/images',
  ]
  const exported = await inProcess([...exporting, '--json'], { cwd })
  expect(exported.json()).toMatchObject([{ graph: 'segmenter' }])
  for (const { largest } of exported.json()[0]!.comparisons as { largest: number }[])
    expect(largest).toBeLessThan(1e-4)
  const segment = ['segment', 'masked/test/images', '--json', '--out']
  const [torch, onnx] = await Promise.all([
    inProcess([...segment, 'masks-torch', '--model', 'seg.safetensors'], { cwd }),
    sherd([...segment, 'masks-onnx', '--model', 'onnx-seg/segmenter.onnx'], withoutLibtorch),
  ])
  expect([torch.status, onnx.status, onnx.stderr]).toEqual([0, 0, expect.not.stringMatching(/warning|error/)])
  expect(onnx.json()).toMatchObject([{ images: 6, skipped: 0 }])
  expect(json('masks-onnx/masks.json').classes).toEqual(json('masks-torch/masks.json').classes)
  expect(existsSync(join(cwd, 'masks-onnx/segmentation.png'))).toBe(true)
  // Against the masks of the set: about as right as the report says of the centres at the model's size.
  const report = json('report-seg/report.json') as SegmentationReport
  const masks = async (dir: string) => {
    const names = readdirSync(join(cwd, dir)).sort()
    return Promise.all(
      names.map(async (name) => [...(await readIndexMask(join(cwd, dir, name), 1e6)).indices]),
    )
  }
  const [a, b] = [(await masks('masks-torch/masks')).flat(), (await masks('masks-onnx/masks')).flat()]
  expect([a.length, new Set(a).size > 1]).toEqual([6 * 40 * 32, true]) // the images' own size
  expect(a.filter((label, i) => label !== b[i]).length).toBeLessThan(0.002 * a.length)
  const truth = (await masks('masked/test/masks')).flat()
  const right = a.filter((label, i) => label === truth[i]).length / a.length
  expect(Math.abs(right - report.rows[0]!.overlap.pixelAccuracy)).toBeLessThan(0.05)

  // Other programs have no such head: they get the encoder, and are told.
  const handed = await inProcess(
    ['export', 'huggingface', '--model', 'seg.safetensors', '--out', 'hf-seg', '--no-onnx', '--json'],
    { cwd },
  )
  expect(handed.json()).toMatchObject([{ task: 'encoder' }])
  expect(handed.stderr).toContain('Its head of segmentation is left out')
  const again = join(cwd, 'again-seg.safetensors')
  await importWeights({ from: join(cwd, 'hf-seg'), out: again })
  const own = [...readArrays(join(cwd, 'seg.safetensors')).tensors]
  const encoder = own.filter(([name]) => !name.startsWith('decode_head.'))
  expect(encoder.length).toBeLessThan(own.length)
  const imported = readArrays(again).tensors
  // A layout has a table of positions, which stays one.
  expect([...imported.keys()].filter((name) => name !== 'pos_embed').sort()).toEqual(
    encoder.map(([name]) => name).sort(),
  )
  for (const [name, { data }] of encoder) expect(imported.get(name)!.data, name).toEqual(data)
})

it.each<[string, string[], number, string]>([
  [
    'two heads for one file',
    ['evaluate', 'segment', ...random, '--data', 'masked', '--out', 'x', '--save', 'x.safetensors'],
    2,
    'give --heads',
  ],
  [
    'a name of another kind',
    ['evaluate', 'finetune', ...random, '--data', 'set', '--out', 'x', '--save', 'x.pt'],
    2,
    '--save: expected a name that ends in .safetensors',
  ],
  [
    'predictions of another kind',
    ['classify', 'set/test', '--model', 'x.onnx', '--out', 'x.txt'],
    2,
    '.csv or .json',
  ],
  [
    'a graph that the file has not',
    ['export', 'onnx', ...random, '--out', 'x', '--graphs', 'classifier'],
    2,
    'no head of a classifier',
  ],
])('refuses %s', async (_, args, status, message) => {
  const outcome = await inProcess(args, { cwd })
  expect([outcome.status, outcome.stderr]).toEqual([status, expect.stringContaining(message)])
})
