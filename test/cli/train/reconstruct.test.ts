import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { inProcess, set, tiny, workFolder } from '../sherd.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 20, size: 20, seed: 1 })
  const train = (out: string, ...more: string[]) =>
    inProcess(['pretrain', '--data', 'images', '--out', out, '--steps', '2', ...tiny(), ...more], { cwd })
  await Promise.all([train('run'), train('raw', ...set({ 'target.normalize': false }))])
  writeFileSync(join(cwd, 'notes.txt'), '')
})

const reconstruct = (...args: string[]) => inProcess(['reconstruct', '--data', 'images', ...args], { cwd })

interface Result {
  readonly out: string
  readonly images: number
  readonly step: number
  readonly quality: { statistics: string; psnr: number; ssim: number }[]
}

describe.concurrent('sherd reconstruct', () => {
  it('draws the picture and names the statistics it used', async () => {
    const { status, stdout } = await reconstruct('--run', 'run', '--out', 'a.png', '--count', '3')
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /^statistics neighbours: PSNR -?\d+\.\d\d dB, SSIM -?\d\.\d{3} on hidden patches\nstatistics true: /,
    )
    expect(stdout).toContain(`reconstruction: ${join(cwd, 'a.png')}\n`)
    const { format, width, height } = await sharp(join(cwd, 'a.png')).metadata()
    // Four columns and three rows of tiles of at least 112 pixels.
    expect([format, width! > 4 * 112, height! > 3 * 112]).toEqual(['png', true, true])
  })

  it('tells machines the statistics: two of a model of normalised patches, raw of a model of pixels', async () => {
    const [normalised, raw] = await Promise.all([
      reconstruct('--run', 'run', '--out', 'b.png', '--json'),
      reconstruct('--run', 'raw', '--out', 'c.png', '--json'),
    ])
    const [two] = normalised.json() as unknown as Result[]
    expect(two).toMatchObject({ out: join(cwd, 'b.png'), images: 8, step: 2 })
    expect(two?.quality.map(({ statistics }) => statistics)).toEqual(['neighbours', 'true'])
    for (const { psnr, ssim } of two?.quality ?? []) expect([psnr, ssim].every(Number.isFinite)).toBe(true)
    const [one] = raw.json() as unknown as Result[]
    expect(one?.quality.map(({ statistics }) => statistics)).toEqual(['raw'])
  })

  it('draws the same picture for the same seed and another for another', async () => {
    const args = ['--run', 'run', '--count', '2', '--statistics', 'neighbours']
    await reconstruct(...args, '--out', 's.png')
    await Promise.all([
      reconstruct(...args, '--out', 't.png', '--seed', '0'),
      reconstruct(...args, '--out', 'u.png', '--seed', '1'),
    ])
    const pixels = (name: string) => sharp(join(cwd, name)).raw().toBuffer()
    const [s, t, u] = await Promise.all(['s.png', 't.png', 'u.png'].map(pixels))
    expect(s!.equals(t!)).toBe(true) // 0 is the run's own seed
    expect(s!.equals(u!)).toBe(false)
  })

  it.each<[string, string[], RegExp]>([
    [
      'raw pixels of a model that predicts none',
      ['--run', 'run', '--statistics', 'raw'],
      /predicts no raw pixels; ask for "neighbours" or "true"/,
    ],
    [
      'statistics for a model of raw pixels',
      ['--run', 'raw', '--statistics', 'true'],
      /needs no "true" statistics; ask for "raw"/,
    ],
    [
      'a folder that is no run',
      ['--run', 'images'],
      /images is not a run of sherd: it has no config\.json and run\.json/,
    ],
    ['a file as run', ['--run', 'notes.txt'], /notes\.txt/],
    [
      'images that are not there',
      ['--run', 'run', '--data', 'nowhere'],
      /Expected a folder of images, but cannot open .*nowhere/,
    ],
    [
      'a picture that cannot be written, before anything is computed',
      ['--run', 'nowhere', '--out', 'notes.txt/a.png'],
      /Cannot create the folder .*notes\.txt: there is a file of this name/,
    ],
  ])('refuses %s', async (_, args, message) => {
    const unless = (option: string, value: string) => (args.includes(option) ? [] : [option, value])
    const usual = [...unless('--data', 'images'), ...unless('--out', 'never.png')]
    const { status, stdout, stderr } = await inProcess(['reconstruct', ...usual, ...args], { cwd })
    expect([status, stdout, stderr]).toEqual([1, '', expect.stringMatching(message)])
    expect(stderr).not.toMatch(/\n {4}at /)
    expect(existsSync(join(cwd, 'never.png'))).toBe(false)
  })

  it('writes PNG, and says so of another ending', async () => {
    const { status, stderr } = await reconstruct('--run', 'run', '--out', 'a.jpg')
    expect([status, stderr]).toEqual([2, expect.stringContaining('ends in .png')])
  })
})
