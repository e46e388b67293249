import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors } from '../../../src/checkpoint/safetensors.ts'
import { withOverride } from '../../../src/config/overrides.ts'
import { presetOf } from '../../../src/config/presets.ts'
import { resolveConfig } from '../../../src/config/resolve.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { inProcess, metricsOf, readLines, set, tiny, tinyKeys, workFolder } from '../sherd.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 40, size: 20, seed: 1 })
  writeFileSync(join(cwd, 'notes.txt'), 'no folder')
})

describe('sherd pretrain, written wrongly', () => {
  const given = ['--data', 'images', '--out', 'never']

  it.each<[string[], RegExp]>([
    [[...given, '--sed', '1'], /unknown option '--sed'\. Did you mean.*--seed/],
    [['--data', 'images', '--ouut', 'never'], /unknown option '--ouut'\. Did you mean --out\?/],
    [
      ['mae-base-244', ...given],
      /There is no preset "mae-base-244"\. Did you mean "mae-base-224"\?.* lists all: mae-tiny-cifar10, /,
    ],
    [
      [...given, '--set', 'mask.ration=0.5'],
      /no configuration key "mask\.ration"\. Did you mean "mask\.ratio"\?/,
    ],
    [[...given, '--set', 'optim.baseLearningrate=1'], /Did you mean "optim\.baseLearningRate"\?/],
    [[...given, '--set', 'optim=1'], /"optim"\. It is a group: optim\.optimizer, optim\.baseLearningRate, /],
    [[...given, '--set', 'mask.ratio=0.5', '--set', 'mask.ratio=0.6'], /--set gives mask\.ratio twice/],
    [[...given, '--set', 'target.scalesWidth=8'], /would change nothing: target\.scales asks for/],
    [[...given, '--data', 'other'], /option '--data <dir>' was given twice/],
    [[...given, '--set', 'mask.ratio'], /--set expects key\.path=value, got "mask\.ratio"/],
    [[...given, '--set', 'mask.ratio=1.5'], /mask\.ratio: expected a number < 1, got 1\.5/],
    [[...given, '--set', 'model.heads=5'], /model\.width 384 is not divisible by model\.heads 5/],
    [[...given, '--set', 'model.imageSize=50'], /50 × 50 pixels .*patches of 8 × 8/],
    [
      [...given, '--steps', '0'],
      /'--steps <n>' argument '0' is invalid\. Expected a whole number of at least 1/,
    ],
    [[...given, '--steps', '1e3'], /'--steps <n>' argument '1e3' is invalid/],
    [[...given, '--epochs', '0'], /'--epochs <n>' argument '0' is invalid\. Expected a positive number/],
    [[...given, '--seed', '-1'], /'--seed <n>' argument '-1' is invalid/],
    [[...given, '--steps', '5', '--hours', '2'], /'--hours <h>' cannot be used with option '--steps <n>'/],
    [[...given, '--hours', '2', '--set', 'train.steps=5'], /--hours chooses train\.steps/],
    [[...given, '--overwrite', '--resume'], /'--overwrite' cannot be used with option '--resume'/],
    [[...given, '--steps', '5', '--epochs', '2'], /'--steps <n>' cannot be used with option '--epochs <n>'/],
    [[...given, '--device', 'gpu'], /'gpu' is invalid\. Allowed choices are auto, cpu, cuda/],
    [[...given, '--precision', 'fp16'], /'fp16' is invalid\. Allowed choices are auto, fp32, bf16/],
    [['--data', 'images'], /required option '--out <run>' not specified/],
    [['--data', 'images', '--out', ''], /required option '--out <run>' not specified/],
    [['--out', 'never'], /A new run needs --data, a folder of images/],
    [['--out', 'never', '--data', ''], /A new run needs --data, a folder of images/],
  ])('%j: status 2, a hint, and nothing on disk', async (args, message) => {
    const { status, stdout, stderr } = await inProcess(['pretrain', ...args], { cwd })
    expect(stderr).toMatch(message)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).not.toMatch(/\n {4}at /)
    expect(existsSync(join(cwd, 'never'))).toBe(false)
  })

  it.each<[string[], RegExp]>([
    [['--data', 'nowhere', '--out', 'never'], /Expected a folder of images, but cannot open .*nowhere/],
    [['--data', 'notes.txt', '--out', 'never'], /notes\.txt is a file\. Give the folder it is in/],
    [['--data', 'images', '--out', 'notes.txt'], /notes\.txt is a file: choose another folder for --out/],
    [['--data', 'images', '--out', 'images'], /images is not empty: choose another folder for --out/],
    [['--out', 'never', '--resume'], /never is not a run of sherd/],
    [['--out', 'images', '--resume'], /images is not a run of sherd/],
  ])('%j: status 1 and the reason', async (args, message) => {
    const { status, stdout, stderr } = await inProcess(
      ['pretrain', ...args, ...(args.includes('--resume') ? [] : tiny())],
      { cwd },
    )
    expect(stderr).toMatch(message)
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).not.toMatch(/\n {4}at /)
    expect(existsSync(join(cwd, 'never'))).toBe(false)
  })

  it('tells machines the reason, too', async () => {
    const { json } = await inProcess(
      ['pretrain', '--json', '--data', 'nowhere', '--out', 'never', ...tiny()],
      {
        cwd,
      },
    )
    expect(json()).toEqual([{ kind: 'error', code: 'SOURCE', message: expect.stringContaining('nowhere') }])
  })

  it('says what to do where CUDA is asked for and missing', async ({ skip }) => {
    const [line] = (await inProcess(['doctor', '--json'])).json()
    const findings = line?.findings as { name: string; value: string }[]
    skip(
      !findings.some(({ name, value }) => name === 'CUDA' && value.startsWith('no GPU')),
      'this machine has a GPU',
    )
    const { status, stderr } = await inProcess(['pretrain', ...given, '--device', 'cuda', ...tiny()], { cwd })
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/Device "cuda" was asked for, but .*--device cpu/),
    ])
  })
})

describe('sherd pretrain', () => {
  const steps = 40
  const keys = {
    'optim.baseLearningRate': 0.1,
    'checkpoint.everySteps': 16,
    'log.pictureEverySteps': 25,
    'data.statistics': 'imagenet',
  }
  const command = (out: string, ...more: string[]) => [...commandWith({}, out), ...more]
  const commandWith = (more: Readonly<Record<string, unknown>>, out: string) => [
    ...['pretrain', 'mae-tiny-cifar10', '--data', 'images', '--out', out, '--steps', String(steps)],
    ...tiny({ ...keys, ...more }),
  ]
  let human: Awaited<ReturnType<typeof inProcess>>
  beforeAll(async () => {
    human = await inProcess(command('run'), { cwd })
  })

  it('ends well, and prints where everything is', () => {
    expect(human.status).toBe(0)
    const [checkpoint, picture, curve, ...next] = human.stdout.trimEnd().split('\n')
    expect(checkpoint).toMatch(/^checkpoint: run\/checkpoints\/step-00000040 \(\d+ kB\)$/)
    expect(picture).toMatch(/^reconstruction: run\/samples\/step-00000040\.png \(\d+ kB\)$/)
    expect(curve).toMatch(/^loss curve: run\/loss-curve\.png \(\d+ kB\)$/)
    expect(
      next.filter((line) => line.includes('sherd ')).map((line) => line.match(/sherd (\S+)/)![1]),
    ).toEqual(['evaluate', 'reconstruct', 'index', 'export'])
    expect(human.stderr).toMatch(/^mae-tiny-cifar10: 19,040 parameters, 40 images in 10 classes/)
    expect(human.stderr).toMatch(/40 steps of 8 images, learning rate 0\.00313/)
    expect(human.stderr).toMatch(
      /^0 s left · .* images\/s · 100 % · step 40\/40 · loss \d\.\d{4} · .* · data wait \d+\.\d % · epoch 8\.00$/m,
    )
    expect(human.stderr).toMatch(/^completed 40 steps in \d+ s, .* images\/s on average$/m)
    expect(human.stderr).toMatch(
      /^loss \d\.\d{4}, from \d\.\d{4} at the beginning; where nothing is learned/m,
    )
    expect(human.stderr).not.toMatch(/warn|deprecat/i)
  })

  it('saves the complete configuration that it ran with', () => {
    const overrides = Object.entries({ ...tinyKeys, ...keys }).map(([key, value]) => `${key}=${value}`)
    const expected = resolveConfig(
      ['train.steps=40', ...overrides].reduce(withOverride, presetOf('mae-tiny-cifar10').config),
    )
    expect(JSON.parse(readFileSync(join(cwd, 'run/config.json'), 'utf8'))).toEqual(expected)
    expect(expected.model).toMatchObject({ imageSize: [16, 16], width: 32, layerNormEpsilon: 1e-6 })
  })

  it('logs every step with finite numbers', () => {
    const metrics = metricsOf(join(cwd, 'run'))
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1))
    for (const { time, schedules, ...numbers } of metrics) {
      expect(Object.keys(numbers).sort()).toEqual([
        'dataWaitSeconds',
        'epoch',
        'gradientNorm',
        'imagesPerSecond',
        'learningRate',
        'loss',
        'residentBytes',
        'step',
        'stepSeconds',
      ])
      for (const [key, value] of Object.entries(numbers)) expect(Number.isFinite(value), key).toBe(true)
      expect(Number.isNaN(Date.parse(time))).toBe(false)
      expect(schedules).toEqual({ learningRate: numbers.learningRate, weightDecay: 0.05 })
    }
    // lr = base · batch / 256 after two steps of warm-up, then a cosine to nearly nothing.
    expect(metrics[0]?.learningRate).toBe(0)
    expect(metrics[2]?.learningRate).toBeCloseTo((0.1 * 8) / 256, 12)
    expect(metrics.at(-1)?.learningRate).toBeLessThan(1e-5)
    expect(metrics.at(-1)?.epoch).toBe(8)
  })

  it('learns', () => {
    const losses = metricsOf(join(cwd, 'run')).map(({ loss }) => loss)
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
    expect(mean(losses.slice(-8))).toBeLessThan(0.85 * mean(losses.slice(0, 8)))
  })

  it('leaves whole checkpoints, the latest two that were due and the last', () => {
    const folder = join(cwd, 'run/checkpoints')
    expect(readdirSync(folder).sort()).toEqual(['step-00000016', 'step-00000032', 'step-00000040'])
    for (const name of readdirSync(folder)) {
      const state = JSON.parse(readFileSync(join(folder, name, 'state.json'), 'utf8')) as {
        step: number
        samples: number
      }
      expect(state.samples).toBe(8 * state.step)
      const sizes = scope(() =>
        ['model', 'optimizer'].map(
          (file) => [...readSafetensors(join(folder, name, `${file}.safetensors`)).tensors].length,
        ),
      )
      expect(sizes[1]).toBe(2 * sizes[0]!) // two moments for every weight
    }
  })

  it('draws pictures', async () => {
    expect(readdirSync(join(cwd, 'run/samples')).sort()).toEqual(['step-00000025.png', 'step-00000040.png'])
    for (const picture of ['samples/step-00000025.png', 'samples/step-00000040.png', 'loss-curve.png']) {
      const { format, width, height } = await sharp(join(cwd, 'run', picture)).metadata()
      expect([format, width! > 300, height! > 300], picture).toEqual(['png', true, true])
    }
  })

  it('tells machines the same, a line an event', async () => {
    const { status, json } = await inProcess(command('json', '--json', '--set', 'log.everySteps=2'), { cwd })
    expect(status).toBe(0)
    const events = json()
    expect(
      events.map(({ kind, step }) => (kind === 'step' ? null : `${kind} ${step ?? ''}`)).filter(Boolean),
    ).toEqual([
      'start ',
      'cost 10',
      'checkpoint 16',
      'picture 25',
      'checkpoint 32',
      'checkpoint 40',
      'end 40',
    ])
    expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'completed', skipped: 0 })
    expect(events.find(({ kind }) => kind === 'start')).toMatchObject({
      images: 40,
      classes: 10,
      totalSteps: 40,
      parameters: 19_040,
    })

    // Every second line only, and the numbers of the run above: the same seed gives the same run.
    const metrics = metricsOf(join(cwd, 'json'))
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: steps / 2 }, (_, i) => 2 * i + 2))
    const all = metricsOf(join(cwd, 'run')).map(({ loss }) => loss)
    expect(metrics.map(({ loss }) => loss)).toEqual(all.filter((_, i) => i % 2 === 1))
    expect(events.filter(({ kind }) => kind === 'step')).toEqual(
      metrics.map((metric) => ({ kind: 'step', ...metric })),
    )
  })

  it('again says that it is complete and what it came to; as another one it is refused, and leaves the run as it is', async () => {
    const before = readLines(join(cwd, 'run/metrics.jsonl'))
    const again = await inProcess(command('run'), { cwd })
    expect([again.status, again.stderr]).toEqual([
      0,
      expect.stringMatching(
        /^run is complete: nothing to do\. --overwrite.*\ncompleted 40 steps\nloss \d\.\d{4}, from/,
      ),
    ])
    expect(again.stdout).toBe(human.stdout)
    const { json } = await inProcess(command('run', '--json'), { cwd })
    expect(json()).toMatchObject([
      { kind: 'end', reason: 'completed', step: 40, totalSteps: 40, seconds: null },
    ])
    const other = await inProcess(command('run', '--seed', '7'), { cwd })
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringMatching(
        /run holds a run of another request:\n {2}train\.seed: 0 → 7\nChoose .* --overwrite/,
      ),
    ])
    const bare = await inProcess(['pretrain', '--out', 'run'], { cwd })
    expect([bare.status, bare.stderr]).toEqual([
      2,
      expect.stringMatching(
        /preset: mae-tiny-cifar10 → mae-small-64\n.*: "(npx )?sherd pretrain --out run --resume"$/m,
      ),
    ])
    expect(readLines(join(cwd, 'run/metrics.jsonl'))).toEqual(before)
  })

  it('trains for epochs: as many steps as they take', async () => {
    const args = ['pretrain', 'mae-demo', '--data', 'images', '--out', 'epochs', '--epochs', '0.5', ...tiny()]
    const { status } = await inProcess([...args, ...set({ 'train.accumulate': 2 })], { cwd })
    expect(status).toBe(0)
    expect(metricsOf(join(cwd, 'epochs')).map(({ epoch }) => epoch)).toEqual([0.4, 0.8]) // ⌈0.5 · 40 / 16⌉ steps
  })

  it('continues what the same command began and did not end', async () => {
    rmSync(join(cwd, 'json/checkpoints/step-00000040'), { recursive: true })
    const { status, stderr } = await inProcess(command('json', '--set', 'log.everySteps=2'), { cwd })
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(
        /^json holds this run, not complete: continuing it$.*^continuing from step 32$/ms,
      ),
    ])
  })

  it('with --overwrite takes the place of a run, and of nothing else', async () => {
    const { status } = await inProcess(command('epochs', '--overwrite', '--seed', '3'), { cwd })
    expect([status, metricsOf(join(cwd, 'epochs')).length]).toEqual([0, steps])
    expect(readdirSync(cwd).filter((name) => name.startsWith('.'))).toEqual([])
    const images = await inProcess(command('images', '--overwrite'), { cwd })
    expect([images.status, images.stderr]).toEqual([
      2,
      expect.stringMatching(/would remove images, which the new run/),
    ])
  })

  it('stops at a loss that is not finite, with the step, the rate and the last good checkpoint', async () => {
    const wild = { 'optim.baseLearningRate': 1e20, 'checkpoint.everySteps': 1, 'checkpoint.keep': 9 }
    const strict = { 'train.maxSkippedSteps': 0, 'train.maxRollbacks': 0 }
    const { status, stderr } = await inProcess(commandWith({ ...wild, ...strict }, 'diverged'), { cwd })
    expect(status).toBe(1)
    const [, step, good] = stderr.match(
      /^error: Step (\d+) gave \D+ at learning rate \d\.\d+e\+\d+; first: .*\. The last good checkpoint is diverged\/checkpoints\/step-0*(\d+)\. A lower/m,
    )!
    expect(Number(good)).toBeLessThan(Number(step) - 1)
    expect(metricsOf(join(cwd, 'diverged'))).toHaveLength(Number(step) - 1)
  })
})

describe('sherd pretrain --profile', () => {
  it('writes a trace and says where the time of a step goes', async () => {
    const args = ['pretrain', '--data', 'images', '--out', 'profiled', '--steps', '6', ...tiny()]
    const { status, stdout, stderr } = await inProcess([...args, '--profile', '--profile-steps', '2'], {
      cwd,
    })
    expect(status).toBe(0)
    expect(stderr).toMatch(/^a step of \S+ ms \(2 profiled\): data wait \S+ %, upload .*, other \S+ %$/m)
    expect(stdout).toMatch(/^trace: .*profiled\/trace\.json /m)
    const events = JSON.parse(readFileSync(join(cwd, 'profiled/trace.json'), 'utf8')) as { name: string }[]
    expect(events.filter(({ name }) => name === 'step')).toHaveLength(2)
  })
})
