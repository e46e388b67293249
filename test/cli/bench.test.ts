import { describe, expect, it } from 'vitest'
import { sherd, tiny } from './sherd.ts'

describe.concurrent('sherd bench step', () => {
  it('times steps for machines', async () => {
    const { status, json } = await sherd([
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
    }[]
    expect(result).toMatchObject({ preset: 'mae-demo', batch: 4, seconds: [result!.medianStepSeconds] })
    expect(result!.imagesPerSecond).toBeCloseTo(4 / result!.medianStepSeconds, 9)
    expect(result!.peakBytes).toBeGreaterThan(5e7)
  })

  it('times steps for people, with what was asked for', async () => {
    const { status, stdout } = await sherd([
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
  })

  it('suggests a preset', async () => {
    expect(await sherd(['bench', 'step', 'mae-dem'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('"mae-demo"?') as string,
    })
  })
})
