import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { startHeld } from '../held.ts'
import { inProcess, metricsOf, readLines, set, sherd, start, tiny, until, workFolder } from '../sherd.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 40, size: 20, seed: 1 })
})

const command = (out: string, steps: number, more: Readonly<Record<string, unknown>> = {}) => [
  ...['pretrain', 'mae-tiny-cifar10', '--data', 'images', '--out', out, '--steps', String(steps)],
  ...tiny({ 'optim.baseLearningRate': 0.05, ...more }),
]
const steps = (run: string) => metricsOf(join(cwd, run)).map(({ step }) => step)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const checkpoints = (run: string) =>
  existsSync(join(cwd, run, 'checkpoints')) ? readdirSync(join(cwd, run, 'checkpoints')).sort() : []
const weights = (run: string) =>
  readFileSync(join(cwd, run, 'checkpoints', checkpoints(run).at(-1)!, 'model.safetensors'))

describe.concurrent('a signal', () => {
  it.each([
    ['SIGINT', 130, 'my run'],
    ['SIGTERM', 143, 'run'],
  ] as const)('%s finishes the step, saves it and says how to go on', async (signal, expected, out) => {
    const running = start(command(out, 1_000_000), { cwd })
    await until(() => readLines(join(cwd, out, 'metrics.jsonl')).length >= 3, 'three steps')
    running.kill(signal)
    const { status, stdout, stderr } = await running.ended
    expect(status).toBe(expected)
    expect(stderr).toMatch(new RegExp(`^${signal}: finishing this step and saving a checkpoint`, 'm'))
    const done = steps(out).length
    expect(steps(out)).toEqual(upTo(done))
    expect(stderr).toMatch(
      new RegExp(`^interrupted at step ${done.toLocaleString('en-US')} of 1,000,000 after`, 'm'),
    )
    expect(checkpoints(out).at(-1)).toBe(`step-${String(done).padStart(8, '0')}`)

    // The printed command, as a shell would read it, and three steps more.
    const [, printed] = stdout.match(/^continue with:\n {2}(?:npx )?sherd (.*)$/m)!
    const words = printed!.match(/'[^']*'|\S+/g)!.map((word) => word.replaceAll("'", ''))
    expect(words).toEqual(['pretrain', '--out', out, '--resume'])
    const resumed = await sherd([...words, '--steps', String(done + 3)], { cwd })
    expect(resumed.status).toBe(0)
    expect(resumed.stderr).toMatch(new RegExp(`^continuing from step ${done.toLocaleString('en-US')}$`, 'm'))
    expect(resumed.stderr).toMatch(new RegExp(`^changed: train\\.steps: 1000000 → ${done + 3}$`, 'm'))
    expect(steps(out)).toEqual(upTo(done + 3))
  })

  it('ends the stream of events as any run ends', async () => {
    const running = start([...command('events', 1_000_000), '--json'], { cwd })
    await until(() => steps('events').length >= 3, 'three steps')
    running.kill('SIGTERM')
    const { status, json } = await running.ended
    expect(status).toBe(143)
    expect(json().at(-1)).toMatchObject({ kind: 'end', reason: 'interrupted', step: steps('events').length })
  })
})

describe('a run that was killed', () => {
  it('continues to the bytes and losses of one that was not', async () => {
    const keys = { 'train.accumulate': 2, 'checkpoint.everySteps': 6, 'data.statistics': 'dataset' }
    const whole = sherd(command('whole', 60, keys), { cwd })
    // Ten steps behind its last checkpoint.
    const running = startHeld(command('killed', 60, keys), cwd, { path: 'killed/metrics.jsonl', lines: 16 })
    await running.reached
    running.kill('SIGKILL')
    expect((await running.ended).status).toBe('SIGKILL')
    const { status, json } = await sherd(['pretrain', '--out', 'killed', '--resume', '--json'], { cwd })
    expect([status, (await whole).status]).toEqual([0, 0])
    expect(json()[0]?.firstStep).toBeGreaterThanOrEqual(6)
    const learned = (run: string) =>
      metricsOf(join(cwd, run)).map(({ step, loss, gradientNorm, learningRate }) => [
        step,
        loss,
        gradientNorm,
        learningRate,
      ])
    expect(learned('killed')).toEqual(learned('whole'))
    expect(weights('killed').equals(weights('whole'))).toBe(true)
    expect(checkpoints('killed')).toEqual(checkpoints('whole')) // and nothing half-written is left
  })
})

describe('--resume', () => {
  beforeAll(async () => {
    await inProcess(command('done', 4), { cwd })
  })
  const resume = (...args: string[]) => inProcess(['pretrain', '--resume', ...args], { cwd })

  it.concurrent.each<[string[], RegExp]>([
    [
      ['--set', 'optim.weightDecay=0.1'],
      /done cannot continue with another configuration:\n {2}optim\.weightDecay: 0\.05 → 0\.1\nStart a new run for it/,
    ],
    [['--seed', '3', '--steps', '9'], /another configuration:\n {2}train\.seed: 0 → 3\n/],
    [
      ['--set', 'model.depth=2', '--set', 'mask.ratio=0.5'],
      /\n {2}model\.depth: 1 → 2\n {2}mask\.ratio: 0\.75 → 0\.5\n/,
    ],
    [['--data', 'nowhere'], /cannot open .*nowhere/],
  ])('refuses %j', async (args, message) => {
    const before = readFileSync(join(cwd, 'done/config.json'), 'utf8')
    const { status, stderr } = await resume('--out', 'done', ...args)
    expect([status, stderr]).toEqual([1, expect.stringMatching(message)])
    expect(readFileSync(join(cwd, 'done/config.json'), 'utf8')).toBe(before)
  })

  it('refuses another preset, and takes its own', async () => {
    const other = await resume('mae-base-224', '--out', 'done')
    expect([other.status, other.stderr]).toEqual([
      1,
      expect.stringMatching(/done was started from preset "mae-tiny-cifar10", not "mae-base-224"/),
    ])
    const own = await resume('mae-tiny-cifar10', '--out', 'done')
    expect([own.status, own.stderr]).toEqual([
      0,
      expect.stringMatching(/^continuing from step 4$.*^completed 4 steps/ms),
    ])
    expect(steps('done')).toEqual(upTo(4))
  })

  it('refuses a folder of images that has changed', async () => {
    cpSync(join(cwd, 'images'), join(cwd, 'grown'), { recursive: true })
    copyFileSync(join(cwd, 'grown/wood/00000.jpg'), join(cwd, 'grown/wood/99999.jpg'))
    const { status, stderr } = await resume('--out', 'done', '--data', 'grown', '--steps', '6')
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/grown holds 41 images that are not the 40 this run was started with/),
    ])
    rmSync(join(cwd, 'grown/wood/99999.jpg'))
    expect(
      (await resume('--out', 'done', '--data', 'grown', '--steps', '6', ...set({ 'log.everySteps': 2 })))
        .status,
    ).toBe(0)
    expect(steps('done')).toEqual([...upTo(4), 6])
  })
})
