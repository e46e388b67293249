import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { inProcess, metricsOf, tiny, workFolder } from '../sherd.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await inProcess(['sample-data', '--out', 'images', '--count', '20', '--size', '24'], { cwd })
})

describe('sherd pack', () => {
  it('packs images that a run trains on, and continues with, as on the folder', async () => {
    const packed = await inProcess(['pack', '--data', 'images', '--out', 'packed'], { cwd })
    expect(packed).toMatchObject({
      status: 0,
      stdout: `20 images, 0.0 MB of pixels: ${join(cwd, 'packed')}\n`,
      stderr: '',
    })
    const run = (data: string, out: string, ...more: string[]) =>
      inProcess(['pretrain', '--data', data, '--out', out, ...tiny(), ...more], { cwd })
    const losses = (out: string) => metricsOf(join(cwd, out)).map(({ loss }) => loss)
    expect(await run('images', 'a', '--steps', '4')).toMatchObject({ status: 0 })
    expect(await run('packed', 'b', '--steps', '4')).toMatchObject({ status: 0 })
    expect(losses('b')).toEqual(losses('a'))
    const other = await inProcess(['pretrain', '--data', 'images', '--out', 'b', '--resume'], { cwd })
    expect(other).toMatchObject({ status: 1, stderr: expect.stringMatching(/are not the 20/) })
    const picture = ['reconstruct', '--run', 'b', '--data', 'packed', '--out', 'p.png', '--count', '2']
    expect(await inProcess(picture, { cwd })).toMatchObject({ status: 0 })
  })

  it('shrinks, takes fewer images, and says so as JSON', async () => {
    const args = ['--short-side', '12', '--count', '5', '--channels', '1', '--json']
    const packed = await inProcess(['pack', '--data', 'images', '--out', 'small', ...args], { cwd })
    expect(packed.json()).toEqual([
      { kind: 'pack', dir: join(cwd, 'small'), images: 5, classes: 10, bytes: 5 * 12 * 12, skipped: 0 },
    ])
  })

  it('checks hashes', async () => {
    await inProcess(['pack', '--data', 'images', '--out', 'checked'], { cwd })
    const check = () => inProcess(['pack', '--check', 'checked'], { cwd })
    expect(await check()).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^20 images, every hash/),
    })
    const path = join(cwd, 'checked/pixels.npy')
    const bytes = readFileSync(path)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(path, bytes)
    expect(await check()).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/pixels\.npy cannot be used: its SHA-256/),
    })
  })

  it('tells how it is used', async () => {
    for (const [args, message] of [
      [['--data', 'images'], /^error: Packing needs --out, the folder to write\.$/m],
      [['--data', 'images', '--out', 'x', '--max-skipped-share', '2'], /Expected a number from 0 to 1/],
      [['--data', 'images', '--out', 'x', '--channels', '4'], /Allowed choices are 1, 3/],
    ] as const)
      expect(await inProcess(['pack', ...args], { cwd })).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(message),
      })
  })
})
