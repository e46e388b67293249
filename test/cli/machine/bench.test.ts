import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { inProcess, tiny, workFolder } from '../sherd.ts'

const measuredOn = { cores: expect.any(Number) as number, libtorch: expect.any(String) as string }

describe.concurrent('sherd bench step', () => {
  it('times steps for machines', async () => {
    const { status, json } = await inProcess([
      'bench',
      'step',
      'mae-demo',
      '--steps',
      '1',
      '--set',
      'train.batchSize=4',
      '--json',
    ])
    expect(status).toBe(0)
    const [result] = json() as unknown as {
      medianStepSeconds: number
      imagesPerSecond: number
      seconds: number[]
      peakBytes: number
      modelFlopsPerImage: number
      modelTflops: number
      gemmPeakTflops: number
      shareOfPeak: number
    }[]
    expect(result).toMatchObject({ preset: 'mae-demo', batch: 4, seconds: [result!.medianStepSeconds] })
    expect(result!.imagesPerSecond).toBeCloseTo(4 / result!.medianStepSeconds, 9)
    expect(result!.peakBytes).toBeGreaterThan(5e7)
    const { modelFlopsPerImage, modelTflops, gemmPeakTflops, shareOfPeak } = result!
    expect(modelTflops).toBeCloseTo((modelFlopsPerImage * result!.imagesPerSecond) / 1e12, 9)
    expect(shareOfPeak).toBeCloseTo(modelTflops / gemmPeakTflops, 9)
    expect(result).toMatchObject({ measuredOn })
  })

  it('times steps for people, with what was asked for', async () => {
    const { status, stdout } = await inProcess([
      'bench',
      'step',
      '--steps',
      '3',
      '--precision',
      'fp32',
      ...tiny(),
    ])
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /^mae-tiny-cifar10: \d+\.\d ms a step of 8 images, .* images\/s \(median of 3\); peak memory \d+ MB; .*float32, 1 threads$/m,
    )
    expect(stdout).toMatch(/^\S+ TFLOP\/s of the model, \d+ % of the \S+ TFLOP\/s/m)
  })

  it('suggests a preset', async () => {
    expect(await inProcess(['bench', 'step', 'mae-dem'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('"mae-demo"?') as string,
    })
  })
})

describe('sherd bench data', () => {
  let cwd: string
  beforeAll(async () => {
    cwd = await workFolder()
    await writeSampleData({ dir: join(cwd, 'images'), count: 40, size: 20, seed: 1 })
  })
  const args = ['bench', 'data', '--data', 'images', '--batches', '3', ...tiny()]

  it('times the loader for machines', async () => {
    const { status, json } = await inProcess([...args, '--need', '1', '--json'], { cwd })
    expect(status).toBe(0)
    expect(json()).toMatchObject([
      { images: 40, batch: 8, need: { imagesPerSecond: 1, isEnough: true }, skipped: 0, measuredOn },
    ])
  })

  it('says for people whether it is enough', async () => {
    const slow = await inProcess([...args, '--need', '1e9'], { cwd })
    expect(slow.stdout).toMatch(/^mae-tiny-cifar10: \d+ images\/s, \d+ for each of \d+ decoding threads?$/m)
    expect(slow.stdout).toMatch(/^a batch of 8: \S+ ms \(p50\), \S+ ms \(p95\), 3 batches$/m)
    expect(slow.stdout).toMatch(/^too slow: training takes 1000000000 images\/s, so it would wait 100 %/m)
    const enough = await inProcess([...args, '--need', '1'], { cwd })
    expect(enough.stdout).toMatch(/^enough: .* × the 1 images\/s/m)
  })

  it('needs a folder', async () => {
    const { status, stderr } = await inProcess(['bench', 'data'], { cwd })
    expect([status, stderr]).toEqual([2, expect.stringContaining("'--data <dir>' not specified")])
  })
})

describe('sherd bench gemm', () => {
  it('measures products for machines and for people', async () => {
    const { json } = await inProcess(['bench', 'gemm', ...tiny(), '--json'])
    const [result] = json() as unknown as { rows: { float32: number }[]; peak: { float32: number } }[]
    expect(result).toMatchObject({ preset: 'mae-tiny-cifar10', measuredOn })
    expect(result!.peak.float32).toBe(Math.max(...result!.rows.map(({ float32 }) => float32)))
    const { stdout } = await inProcess(['bench', 'gemm', ...tiny()])
    expect(stdout).toMatch(/^blocks\.attn\.qkv +40 × 32 × 96 +\d+ +\d+$/m)
    expect(stdout).toMatch(/^measured peak: \d+ in float32, \d+ in bfloat16$/m)
  })
})
