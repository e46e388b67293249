import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors, writeSafetensors } from '../../../src/checkpoint/safetensors.ts'
import type { FeatureReport, Report } from '../../../src/evaluate/evaluate.ts'
import { readNpy } from '../../../src/files/npy.ts'
import { readMetrics, readProbes } from '../../../src/run/journal.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { toFloats } from '../../../src/tensor/tensor.ts'
import { inProcess, metricsOf, set, start, tiny, tinyModel, until, workFolder } from '../sherd.ts'

let cwd: string
let checkpoint: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 60, size: 20, seed: 1 })
  mkdirSync(join(cwd, 'split'))
  cpSync(join(cwd, 'images'), join(cwd, 'split/train'), { recursive: true })
  await writeSampleData({ dir: join(cwd, 'split/val'), count: 20, size: 20, seed: 2 })
  const train = ['pretrain', '--data', 'images', '--out', 'run', '--steps', '2', ...tiny()]
  expect((await inProcess(train, { cwd })).status).toBe(0)
  checkpoint = join('run/checkpoints', readdirSync(join(cwd, 'run/checkpoints'))[0]!)
})

const classesOf = (dir: string) =>
  readdirSync(join(cwd, dir), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  )

const evaluate = (...args: string[]) => inProcess(['evaluate', ...args], { cwd })
const knn = (out: string, ...args: string[]) =>
  evaluate('knn', '--model', 'run', '--neighbours', '3,5', '--out', out, ...args)

describe.concurrent('sherd evaluate', () => {
  it('knn: parts a folder, chooses on held-out images, writes the report', async () => {
    const { status, stdout } = await knn('knn', '--data', 'images')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^\* +all +(cls|mean) +k = [35] +\d+\.\d\d +\d+\.\d\d$/m)
    expect(stdout).toMatch(
      /^knn: top-1 \S+ % of 10 test images \((cls|mean), k = [35]; chance 10\.00 %; computed in fp32\)$/m,
    )
    const report = JSON.parse(readFileSync(join(cwd, 'knn/report.json'), 'utf8')) as Report
    // Six images of each of ten classes: one of them is a fifth, at least, and is rounded.
    expect(report.data).toMatchObject({ trainImages: 50, testImages: 10, skipped: 0 })
    expect(report.rows).toHaveLength(4)
    expect(readFileSync(join(cwd, 'knn/report.md'), 'utf8')).toContain('| cls | k = 3 |')
    expect((await sharp(join(cwd, 'knn/confusion.png')).metadata()).format).toBe('png')
  })

  it('linear: takes a folder of two, a checkpoint, seeds and rates', async () => {
    const { status, json } = await evaluate(
      ...['linear', '--model', checkpoint, '--data', 'split', '--out', 'linear', '--json'],
      ...['--rates', '0.1,1', '--epochs', '5', '--seeds', '2'],
    )
    expect(status).toBe(0)
    const [report] = json() as unknown as [FeatureReport]
    expect(report.data).toMatchObject({ trainImages: 60, testImages: 20 })
    expect(report.seeds).toEqual([0, 1])
    expect(report.rows.map(({ pooling, setting }) => `${pooling} ${setting}`)).toEqual([
      'cls base rate 0.1',
      'cls base rate 1',
      'mean base rate 0.1',
      'mean base rate 1',
    ])
    expect(report.scores.confusion.flat().reduce((a, b) => a + b, 0)).toBe(20)
    for (const { effectiveRank } of Object.values(report.spread)) expect(effectiveRank).toBeGreaterThan(1)
  })

  it('frozen: all three on features that are read once', async () => {
    const { status, stdout } = await evaluate(
      ...['frozen', '--model', 'run', '--data', 'split', '--out', 'frozen', '--neighbours', '3'],
      ...['--rates', '0.1', '--epochs', '3', '--seeds', '1', '--shots', '2'],
    )
    expect(status).toBe(0)
    for (const name of ['knn', 'linear', 'fewshot']) {
      expect(stdout).toMatch(new RegExp(`^${name}.*: top-1 `, 'm'))
      const report = JSON.parse(readFileSync(join(cwd, 'frozen', name, 'report.json'), 'utf8')) as Report
      expect(report).toMatchObject({ protocol: name, data: { trainImages: 60, testImages: 20 } })
    }
  })

  it('fewshot: chooses for each number of images', async () => {
    const { status, json } = await evaluate(
      ...['fewshot', '--model', 'run', '--data', 'split', '--out', 'few', '--json', '--shots', '1,50%'],
      ...['--rates', '0.1', '--epochs', '3', '--seeds', '1'],
    )
    expect(status).toBe(0)
    const [{ rows, chosen, settings }] = json() as unknown as [Report]
    expect(rows.map(({ group }) => group)).toEqual(['1 per class', '1 per class', '50 %', '50 %'])
    expect(chosen.map((place) => rows[place]!.group)).toEqual(['1 per class', '50 %'])
    expect(settings).toMatchObject({ shots: [{ perClass: 1 }, { share: 0.5 }], epochs: 3 })
    expect(settings).not.toHaveProperty('neighbours')
  })

  it('finetune, partial and scratch: the same report', async () => {
    const tune = (name: string, ...more: string[]) =>
      evaluate(
        name,
        ...['--model', 'run', '--data', 'split', '--out', name, '--epochs', '2', '--seeds', '2'],
        ...more,
      )
    const [whole, part, scratch] = await Promise.all([
      tune('finetune', '--ema', '0.9'),
      tune('partial', '--blocks', '0', '--json'),
      tune('scratch', '--rand-augment', '0', '--mixup', '0', '--cutmix', '0', '--erasing', '0', '--json'),
    ])
    expect(whole.stdout).toMatch(/^\* +all +mean +averaged weights +\d+\.\d\d ± \d+\.\d\d$/m)
    expect(whole.stderr).toMatch(
      /^\d+ s left · \S+ images\/s · \d+ % · epoch 1 of \d+ · seed 1 of 2 · loss \d\.\d{3} · learning rate /m,
    )
    expect(readFileSync(join(cwd, 'finetune/report.md'), 'utf8')).toContain('# finetune: top-1 ')
    const report = (outcome: typeof part) => (outcome.json() as unknown as [Report])[0]
    expect(report(part)).toMatchObject({
      protocol: 'partial',
      seeds: [0, 1],
      settings: { blocks: 0, layerDecay: 0.65 },
    })
    expect(report(scratch)).toMatchObject({
      protocol: 'scratch',
      settings: { blocks: null, layerDecay: 1, randAugment: null, mixup: 0 },
      data: { trainImages: 60, testImages: 20 },
    })
  })

  it('finetune ends with a signal, leaves no report, and refuses to continue another request', async () => {
    const args = ['finetune', '--model', 'run', '--data', 'images', '--out', 'stopped', '--batch', '2']
    const running = start(['evaluate', ...args, '--epochs', '100000'], { cwd })
    await until(() => running.stderr().includes('images/s'), 'the first step')
    running.kill('SIGINT')
    const { status, stderr } = await running.ended
    expect(status).toBe(130)
    expect(stderr).toMatch(/^Stopped after \d+ of [\d,]+ steps of seed 0; the same command continues\.$/m)
    expect(existsSync(join(cwd, 'stopped'))).toBe(false)
    expect(readdirSync(join(cwd, 'stopped.partial/work/seed-0'))).toHaveLength(1)
    const other = await evaluate(...args, '--epochs', '3')
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringMatching(/holds what another request has begun:\n +settings: .*--overwrite/s),
    ])
  })

  it('a file of weights says what it is; one that does not needs a preset, and so does a random model', async () => {
    const file = join(checkpoint, 'model.safetensors')
    cpSync(join(cwd, file), join(cwd, 'bare.safetensors'))
    scope(() => writeSafetensors(join(cwd, 'mute.safetensors'), readSafetensors(join(cwd, file)).tensors))
    const of = (out: string, model: string, ...more: string[]) =>
      evaluate(
        ...['knn', '--data', 'images', '--neighbours', '3', '--json'],
        '--out',
        out,
        '--model',
        model,
        ...more,
      )
    const preset = ['--preset', 'mae-demo', ...tinyModel()]
    const usual = set({ 'data.statistics': 'imagenet' })
    const [inRun, bare, mute, unknown, told, random, nothing] = await Promise.all([
      of('w1', file),
      of('w2', 'bare.safetensors'),
      of('w3', 'mute.safetensors'),
      of('w4', 'mute.safetensors', ...preset),
      of('w5', 'mute.safetensors', ...preset, ...usual),
      of('w6', 'random', ...preset, '--model-seed', '7'),
      of('w7', 'random'),
    ])
    const report = (outcome: typeof bare) => (outcome.json() as unknown as [Report])[0]
    expect(report(bare).rows).toEqual(report(inRun).rows)
    expect(report(bare).model.step).toBe(2)
    expect(mute).toMatchObject({ status: 2, stderr: expect.stringContaining('--preset NAME') as string })
    expect(unknown).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--set data.statistics=imagenet') as string,
    })
    expect(report(told).model.step).toBe(null)
    expect(random.status).toBe(0)
    expect(nothing).toMatchObject({ status: 2, stderr: expect.stringContaining('--preset NAME') as string })
  })

  it('does not measure a checkpoint that is damaged', async () => {
    const copy = join(cwd, 'damaged/step-00000002')
    cpSync(join(cwd, checkpoint), copy, { recursive: true })
    const weights = join(copy, 'model.safetensors')
    const bytes = readFileSync(weights)
    bytes[bytes.length - 2]! ^= 8
    writeFileSync(weights, bytes)
    const args = ['knn', '--data', 'images', '--neighbours', '3', '--out', 'd1', '--model', copy]
    const { status, stderr } = await evaluate(...args)
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining('is damaged: model.safetensors holds other bytes'),
    ])
  })

  it.each([
    ['no labels', ['--data', 'images/beach'], /has no labels: expected a folder for each class/],
    ['no test folder', ['--data', 'half'], /has a folder "train" but none to test with/],
    ['other classes', ['--train', 'images', '--test', 'fewer'], /The classes differ: .* Only for training: /],
    ['one class', ['--data', 'single'], /has one class, /],
    [
      'more neighbours than images',
      ['--data', 'images', '--neighbours', '51'],
      /51 neighbours .* 50 training images/,
    ],
    ['no images', [], /Expected images: either --data DIR, or --train DIR/],
    [
      'a missing model',
      ['--data', 'images', '--model', 'nothing'],
      /nothing does not exist: expected the folder of a run/,
    ],
    ['a folder that is no model', ['--data', 'images', '--model', 'images'], /is not a run of sherd/],
  ])('refuses %s', async (name, args, message) => {
    const some = classesOf('images')
    const dir = await workFolder()
    const use = (from: string, to: string) => cpSync(join(cwd, from), join(dir, to), { recursive: true })
    use('images', 'images')
    use('images', 'half/train')
    use(`images/${some[0]}`, 'single/one')
    for (const each of some.slice(0, 3)) use(`images/${each}`, `fewer/${each}`)
    const given = args.map((each) => each.replace('images/beach', `images/${some[0]}`))
    const unless = (option: string, value: string) => (given.includes(option) ? [] : [option, value])
    const usual = [...unless('--model', join(cwd, 'run')), ...unless('--neighbours', '3')]
    const { status, stderr } = await inProcess(['evaluate', 'knn', ...usual, '--out', 'out', ...given], {
      cwd: dir,
    })
    expect([name, status === 0]).toEqual([name, false])
    expect(existsSync(join(dir, 'out/report.json'))).toBe(false)
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('    at ')
  })
})

describe.concurrent('sherd embed', () => {
  it('writes the same features for NumPy and as safetensors, with names and labels', async () => {
    const embed = (out: string, ...more: string[]) =>
      inProcess(['embed', 'images', '--model', 'run', '--out', out, ...more], { cwd })
    const [npy, both] = await Promise.all([
      embed('f.npy', '--pool', 'cls'),
      embed('f2.safetensors', '--json', '--precision', 'fp32'),
    ])
    expect(npy.stdout).toMatch(/^60 images, each 32 numbers \(cls\), computed in fp32: .*f\.npy, .*f\.json$/m)
    expect(both.json()).toMatchObject([{ images: 60, width: 32, precision: 'fp32', skipped: 0 }])
    const { values } = readNpy(join(cwd, 'f.npy'), { dtype: /^<f4$/, shape: [60, 32] })
    const cls = new Float32Array(values.buffer, values.byteOffset, 60 * 32)
    scope(() => {
      const { tensors } = readSafetensors(join(cwd, 'f2.safetensors'))
      expect([...tensors.keys()].sort()).toEqual(['cls', 'labels', 'mean'])
      expect(toFloats(tensors.get('cls')!)).toEqual(cls)
    })
    const names = JSON.parse(readFileSync(join(cwd, 'f.json'), 'utf8')) as {
      images: { file: string; label: number }[]
    }
    expect(names.images).toHaveLength(60)
    expect(names.images[0]).toMatchObject({ label: 0, file: expect.stringContaining('/') as string })
  })

  it('leaves out one file that cannot be read, and says so; two of sixty are too many', async () => {
    const dir = await workFolder()
    cpSync(join(cwd, 'images'), join(dir, 'images'), { recursive: true })
    const first = classesOf('images')[0]!
    writeFileSync(join(dir, 'images', first, '000-broken.jpg'), 'no image')
    const args = ['embed', 'images', '--model', join(cwd, 'run'), '--out', 'f.npy']
    const one = await inProcess(args, { cwd: dir })
    expect(one.stderr).toContain(`left out: ${first}/000-broken.jpg: `)
    expect([one.status, one.stdout]).toEqual([
      0,
      expect.stringMatching(/^60 images, each 32 numbers \(mean\)/m),
    ])
    rmSync(join(dir, 'f.npy'))
    writeFileSync(join(dir, 'images', first, '001-broken.jpg'), 'no image')
    const two = await inProcess(args, { cwd: dir })
    expect([two.status, two.stderr]).toEqual([
      1,
      expect.stringContaining('2 of 62 images (3.2 %) cannot be used'),
    ])
    expect(two.stderr).toContain('--max-skipped-share')
    expect(existsSync(join(dir, 'f.npy'))).toBe(false)
  })

  it('refuses another format before it computes', async () => {
    const { status, stderr } = await inProcess(['embed', 'images', '--model', 'run', '--out', 'f.csv'], {
      cwd,
    })
    expect([status, stderr]).toEqual([2, expect.stringContaining('to end in .npy or .safetensors')])
  })
})

describe('sherd pretrain --probe', () => {
  it('writes what the encoder has learned between the steps, and a resumed run keeps what stays', async () => {
    const args = ['pretrain', '--data', 'images', '--out', 'probed', '--probe', 'split', ...tiny()]
    const keys = set({ 'log.probeEverySteps': 2, 'checkpoint.everySteps': 3 })
    const { status, stderr } = await inProcess([...args, '--steps', '3', ...keys], { cwd })
    expect(status).toBe(0)
    expect(stderr).toMatch(
      /^probe at step 2: kNN \d+\.\d\d \(cls\), \d+\.\d\d \(mean\) %, linear .* chance 10\.00 %, effective rank /m,
    )
    const path = join(cwd, 'probed/metrics.jsonl')
    const steps = () => [readProbes(path), readMetrics(path)].map((lines) => lines.map(({ step }) => step))
    expect(steps()).toEqual([
      [2, 3],
      [1, 2, 3],
    ])
    for (const { knn, linear, effectiveRank } of readProbes(path)) {
      for (const share of [knn.cls, knn.mean, linear.cls, linear.mean])
        expect(share! >= 0 && share! <= 1).toBe(true)
      for (const rank of [effectiveRank.cls, effectiveRank.mean]) expect(rank! > 1 && rank! <= 32).toBe(true)
    }
    const again = await inProcess(['pretrain', '--out', 'probed', '--resume', '--steps', '5'], { cwd })
    expect(again.status).toBe(0)
    expect(steps()).toEqual([
      [2, 3, 4, 5],
      [1, 2, 3, 4, 5],
    ])
    expect(existsSync(join(cwd, 'probed/loss-curve.png'))).toBe(true)
  })

  it('does not change what is learned', async () => {
    const train = (out: string, ...more: string[]) =>
      inProcess(['pretrain', '--data', 'images', '--out', out, '--steps', '4', ...tiny(), ...more], { cwd })
    await Promise.all([
      train('plain'),
      train('looked', '--probe', 'split', ...set({ 'log.probeEverySteps': 1 })),
    ])
    const losses = (run: string) =>
      metricsOf(join(cwd, run)).flatMap(({ loss }) => (loss === undefined ? [] : [loss]))
    expect(losses('looked')).toEqual(losses('plain'))
    expect(losses('plain')).toHaveLength(4)
  })

  it('refuses images without labels before it trains, and warns when they are lost later', async () => {
    const names = classesOf('images')
    const some = names[0]!
    const args = ['pretrain', '--data', 'images', '--steps', '2', ...tiny(), '--out']
    const refused = await inProcess([...args, 'refused', '--probe', `images/${some}`], { cwd })
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('has no labels') as string })
    expect(existsSync(join(cwd, 'refused'))).toBe(false)
    for (const name of names)
      for (const file of readdirSync(join(cwd, 'images', name))) {
        mkdirSync(join(cwd, 'broken', name), { recursive: true })
        writeFileSync(join(cwd, 'broken', name, file), 'no image')
      }
    const warned = await inProcess([...args, 'warned', '--probe', 'broken'], { cwd })
    expect(warned).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('warning: The probe at step 2 failed: ') as string,
    })
  })
})
