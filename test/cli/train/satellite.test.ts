// Rasters from files to transfer, by the commands that a user gives.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors } from '../../../src/checkpoint/safetensors.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { toFloats } from '../../../src/tensor/tensor.ts'
import { inProcess, tiny, tinyModel, workFolder } from '../sherd.ts'

const bands = ['B2', 'B3', 'B4', 'B8', 'B11', 'B12']
const rasters = {
  'data.bands': bands,
  'model.groups': [
    ['B4', 'B3', 'B2', 'B8'],
    ['B11', 'B12'],
  ],
  ...{ 'model.groupWidth': 8, 'decoder.groupWidth': 4 },
}
const dated = {
  ...rasters,
  ...{ 'model.frames': 2, 'model.timeFields': ['month'], 'model.timeWidth': 8, 'decoder.timeWidth': 4 },
}
const keys = (more: Readonly<Record<string, unknown>> = {}) => tiny({ ...rasters, ...more })

let cwd: string
const done = async (args: readonly string[]) => {
  const outcome = await inProcess(args, { cwd })
  expect([outcome.status, outcome.stderr]).toEqual([0, expect.not.stringMatching(/error:/)])
  return outcome
}
beforeAll(async () => {
  cwd = await workFolder()
  await done(['sample-data', '--kind', 'satellite', '--out', 'scenes', '--count', '24', '--size', '24'])
  await done(['pretrain', 'mae-demo', '--data', 'scenes', '--out', 'run', '--steps', '4', ...keys()])
})

const stepFolder = (step: number) => `step-${String(step).padStart(8, '0')}`

/** A hash of the weights, and all that their file says of itself. */
const checkpoint = (run: string, step: number, folder = 'checkpoints') =>
  createHash('sha256')
    .update(readFileSync(join(cwd, run, folder, stepFolder(step), 'model.safetensors')))
    .digest('hex')

const weights = (run: string, step: number) =>
  scope(
    () =>
      new Map(
        [
          ...readSafetensors(
            join(cwd, run, 'checkpoints', `step-${String(step).padStart(8, '0')}`, 'model.safetensors'),
          ).tensors,
        ].map(([name, x]) => [name, [...toFloats(x)]] as const),
      ),
  )

describe('a run on rasters', () => {
  it('saves the statistics of its bands, and embeds and predicts each group by itself', () => {
    const { statistics } = JSON.parse(readFileSync(join(cwd, 'run/run.json'), 'utf8')) as {
      statistics: Record<string, number[]>
    }
    for (const key of ['mean', 'std', 'low', 'high']) expect(statistics[key]).toHaveLength(bands.length)
    // Reflectance × 10000; clipped at the mean ± 2σ.
    expect(statistics.mean![3]!).toBeGreaterThan(statistics.mean![2]!)
    expect(statistics.high![0]).toBeCloseTo(statistics.mean![0]! + 2 * statistics.std![0]!, 3)
    const names = [...weights('run', 4).keys()].filter((name) => /^(patch_embed|decoder_pred)/.test(name))
    expect(names.filter((name) => name.endsWith('weight'))).toEqual([
      'patch_embed.0.proj.weight',
      'patch_embed.1.proj.weight',
      'decoder_pred.0.weight',
      'decoder_pred.1.weight',
    ])
  })

  it('of several dates continues after a stop to the same bytes', async () => {
    const given = ['--data', 'scenes', '--steps', '4', ...tiny({ ...dated, 'checkpoint.everySteps': 2 })]
    await done(['pretrain', 'mae-demo', '--out', 'whole', ...given])
    await cp(join(cwd, 'whole'), join(cwd, 'parts'), { recursive: true })
    await rm(join(cwd, 'parts/checkpoints/step-00000004'), { recursive: true }) // as if it had been killed at step 3
    await done(['pretrain', '--out', 'parts', '--resume'])
    expect(checkpoint('parts', 4)).toBe(checkpoint('whole', 4))
  })

  it('is drawn date by date in true colour, NDVI and by group, or as it is asked for', async () => {
    const draw = async (out: string, more: readonly string[]) => {
      await done(['reconstruct', '--run', 'whole', '--data', 'scenes', '--out', out, '--count', '1', ...more])
      return sharp(join(cwd, out)).metadata()
    }
    const usual = await draw('usual.png', [])
    const one = await draw('one.png', ['--composites', 'B12-B8-B3'])
    expect(usual.width * usual.height).toBeGreaterThan(2 * one.width * one.height) // three composites of two dates against one of two
    const { status, stderr } = await inProcess(
      ['reconstruct', '--run', 'run', '--data', 'scenes', '--out', 'never.png', '--composites', 'B99'],
      { cwd },
    )
    expect([status, stderr]).toEqual([1, expect.stringMatching(/there is no band B99 among B2, B3/)])
  })

  it('takes windows of scenes, and several sizes as targets', async () => {
    const more = { 'data.window': 12, 'data.minValid': 1, 'target.normalize': false, 'target.scales': [2] }
    const given = ['pretrain', 'mae-demo', '--data', 'scenes', '--steps', '2', '--json']
    const { stdout } = await done([...given, '--out', 'windows', ...keys(more)])
    const start = JSON.parse(stdout.split('\n')[0]!) as { images: number }
    expect(start.images).toBe(24 * 4 * 4) // places, dates, quarters
    expect(weights('windows', 2).has('upscale.blocks.0.up.weight')).toBe(true)
  })
})

describe('an encoder of bands', () => {
  it('is probed, with all groups or with those whose bands are there', async () => {
    const knn = async (out: string, more: readonly string[]) => {
      const { stdout } = await done([
        'evaluate',
        'knn',
        '--data',
        'scenes',
        '--out',
        out,
        '--neighbours',
        '5',
        '--json',
        ...more,
      ])
      return JSON.parse(stdout) as { data: { trainImages: number; testImages: number } }
    }
    const whole = await knn('knn', ['--model', 'run'])
    // All dates of a place are in one part: three places of each class, four dates each, one place held out.
    expect(whole.data.testImages % 4).toBe(0)
    await knn('part', ['--model', 'run', '--bands', 'B11,B12'])
    await knn('random', ['--model', 'random', '--preset', 'mae-demo', ...tinyModel(rasters)])
    const refused = await inProcess(
      ['evaluate', 'knn', '--model', 'run', '--data', 'scenes', '--out', 'never', '--bands', 'B2,B3'],
      { cwd },
    )
    expect([refused.status, refused.stderr]).toEqual([
      2,
      expect.stringMatching(
        /No group of the model has all of its bands among B2, B3: .*B4\+B3\+B2\+B8, B11\+B12/,
      ),
    ])
  })

  it('embeds the same whether bands that it does not look at are there or not', async () => {
    const embed = async (out: string, dir: string) => {
      await done(['embed', dir, '--model', 'run', '--out', out, '--bands', 'B11,B12'])
      return readFileSync(join(cwd, out)).toString('base64')
    }
    const stacked = await embed('stacked.npy', 'scenes')
    const args = ['sample-data', '--kind', 'satellite', '--count', '24', '--size', '24', '--layout', 'bands']
    await done([...args, '--out', 'single'])
    for (const name of readdirSync(join(cwd, 'single'), { recursive: true, encoding: 'utf8' }))
      if (/B0[234]/.test(name)) await rm(join(cwd, 'single', name))
    expect((await embed('single.npy', 'single')).length).toBe(stacked.length)
    const refused = await inProcess(['embed', 'single', '--model', 'run', '--out', 'never.npy'], { cwd })
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/bare-soil\/00000_\d+ has no band B2\. It has: B05, /),
    ])
  })

  it('is fine-tuned, and segments', async () => {
    const light = ['--epochs', '1', '--warm-up', '0', '--seeds', '1', '--rand-augment', '0']
    await done(['evaluate', 'finetune', '--model', 'whole', '--data', 'scenes', '--out', 'tuned', ...light])
    await done([
      'sample-data',
      '--kind',
      'satellite',
      '--masks',
      '--out',
      'masked',
      '--count',
      '12',
      '--size',
      '24',
      '--dates',
      '1',
    ])
    await done([
      'evaluate',
      'segment',
      '--model',
      'run',
      '--data',
      'masked',
      '--out',
      'segmented',
      '--epochs',
      '2',
      '--seeds',
      '1',
    ])
    expect(existsSync(join(cwd, 'segmented/report.md'))).toBe(true)
  })
})

describe('--init', () => {
  it('starts bands from photographs: blocks as they are, the embedding inflated', async () => {
    await done(['sample-data', '--out', 'photos', '--count', '20', '--size', '16'])
    await done(['pretrain', 'mae-demo', '--data', 'photos', '--out', 'rgb', '--steps', '1', ...tiny()])
    const args = [
      'pretrain',
      'mae-demo',
      '--data',
      'scenes',
      '--out',
      'inflated',
      '--init',
      'rgb',
      '--steps',
      '1',
    ]
    const { stderr } = await done([...args, ...keys({ 'optim.baseLearningRate': 1e-30 })]) // that changes nothing
    expect(stderr).toMatch(/began with .*rgb.*: \d+ parameters loaded/)
    expect(stderr).toMatch(/made for other bands \(4\): patch_embed\.0\.proj\.weight/)
    const [own, other] = [weights('inflated', 1), weights('rgb', 1)]
    expect(own.get('blocks.0.attn.qkv.weight')).toEqual(other.get('blocks.0.attn.qkv.weight'))
    // B4 is red: the first kernel of the group is that of red, by 3 / 4.
    const red = other.get('patch_embed.proj.weight')!.slice(0, 16)
    const first = own.get('patch_embed.0.proj.weight')!.slice(0, 16)
    for (const [i, value] of first.entries()) expect(value).toBeCloseTo(0.75 * red[i]!, 6)
  })

  it('begins with the same weights when the run had no checkpoint yet', async () => {
    await rename(join(cwd, 'inflated/checkpoints'), join(cwd, 'inflated/gone'))
    await done(['pretrain', '--out', 'inflated', '--resume', '--steps', '1'])
    expect(checkpoint('inflated', 1)).toBe(checkpoint('inflated', 1, 'gone'))
  })

  it('refuses weights of which no block fits', async () => {
    const args = [
      'pretrain',
      'mae-demo',
      '--data',
      'scenes',
      '--out',
      'never',
      '--init',
      'rgb',
      '--steps',
      '1',
    ]
    const { status, stderr } = await inProcess([...args, ...keys({ 'model.width': 64 })], { cwd })
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/no block of .* fits this model: .*\[96, 32\], expected \[192, 64\]/),
    ])
    expect(existsSync(join(cwd, 'never'))).toBe(false)
  })
})
