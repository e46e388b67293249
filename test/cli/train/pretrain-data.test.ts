import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { writeWhole } from '../../../src/files/write-whole.ts'
import { blackPng, writeScenes } from '../../prepare/decode/make-images.ts'
import { run, tinyConfig } from '../../run/tiny.ts'
import { inProcess, metricsOf, readLines, sherd, tiny, workFolder } from '../sherd.ts'

/** `count` images that can be read, in `images` below a new folder. */
async function withImages(count: number): Promise<{ cwd: string; dir: string }> {
  const cwd = await workFolder()
  const dir = join(cwd, 'images')
  mkdirSync(dir)
  await writeScenes(dir, { count: 10, size: 20 })
  for (let i = 10; i < count; i++)
    copyFileSync(join(dir, `00${i % 10}.jpg`), join(dir, `${String(i).padStart(3, '0')}.jpg`))
  return { cwd, dir }
}

/** A JPEG whose second half is missing. */
async function cutJpeg(): Promise<Buffer> {
  const whole = await sharp({ create: { width: 40, height: 40, channels: 3, background: '#336699' } })
    .jpeg()
    .toBuffer()
  return whole.subarray(0, whole.length >> 1)
}

// Two epochs, so that every file is met.
const command = (keys: Readonly<Record<string, unknown>> = {}) => [
  ...['pretrain', 'mae-tiny-cifar10', '--data', 'images', '--out', 'run', '--epochs', '2'],
  ...tiny({ 'train.batchSize': 25, ...keys }),
]
const pretrain = (cwd: string, ...more: string[]) => inProcess([...command(), ...more], { cwd })

const skipped = (cwd: string) =>
  readLines(join(cwd, 'run', 'skipped.jsonl')).map(
    (line) => JSON.parse(line) as { file: string; reason: string },
  )

describe.concurrent('sherd pretrain on data that is not all well', () => {
  it('skips one broken file of 150, counts it and lists it', async () => {
    const { cwd, dir } = await withImages(150)
    writeFileSync(join(dir, '077.jpg'), await cutJpeg())
    const { status, stderr } = await pretrain(cwd)
    expect(stderr).toMatch(/^skipped 077\.jpg: \S/m)
    expect(stderr).toMatch(/^completed 12 steps in .*; 1 file skipped, listed in skipped\.jsonl$/m)
    expect(status).toBe(0)
    expect(skipped(cwd)).toEqual([
      { file: '077.jpg', reason: expect.stringMatching(/cannot be decoded/) as string },
    ])
    expect(metricsOf(join(cwd, 'run'))).toHaveLength(12)
  })

  it('stops when three of 100 are broken, and says which', async () => {
    const { cwd, dir } = await withImages(100)
    for (const name of ['004.jpg', '044.jpg', '094.jpg']) writeFileSync(join(dir, name), 'no image')
    const { status, stderr } = await pretrain(cwd)
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^error: 2 of 100 images \(2 %\) cannot be used\. At most 1 may be skipped \(data\.maxSkippedShare 0\.01\)\. .*\n {2}0\d4\.jpg, 0\d4\.jpg: expected a JPEG.*\n.*--resume, and --accept-data-change /m,
    )
    expect(stderr).not.toMatch(/\n {4}at /)
    expect(skipped(cwd).length).toBeGreaterThanOrEqual(2)
  })

  it('takes more of them with --max-skipped-share', async () => {
    const { cwd, dir } = await withImages(100)
    for (const name of ['004.jpg', '044.jpg', '094.jpg']) writeFileSync(join(dir, name), 'no image')
    const { status } = await pretrain(cwd, '--max-skipped-share', '0.03')
    expect(status).toBe(0)
    expect(
      skipped(cwd)
        .map(({ file }) => file)
        .sort(),
    ).toEqual(['004.jpg', '044.jpg', '094.jpg'])
  })

  it('skips an image of 30,000 × 30,000 pixels without decoding it', async () => {
    const { cwd, dir } = await withImages(149)
    writeFileSync(join(dir, 'vast.png'), blackPng(30_000, 30_000))
    const { status, json } = await sherd([...command(), '--json'], { cwd }) // of its own, for its memory
    expect(status).toBe(0)
    const events = json()
    expect(events.find(({ kind }) => kind === 'skip')).toMatchObject({
      file: 'vast.png',
      reason: expect.stringMatching(/30000 x 30000 pixels are more than the limit of 100 megapixels/),
    })
    expect(events.at(-1)).toMatchObject({ kind: 'end', skipped: 1 })
    // 30,000² pixels would be 2.7 GB.
    expect(Math.max(...metricsOf(join(cwd, 'run')).map(({ residentBytes }) => residentBytes))).toBeLessThan(
      1e9,
    )
  })

  it('takes what can be read of a folder of everything that goes wrong, and tells what cannot', async () => {
    const { cwd, dir } = await withImages(40)
    const plain = sharp({ create: { width: 24, height: 24, channels: 3, background: '#336699' } })
    const path = (name: string) => join(dir, name)
    // What only looks odd:
    await plain.clone().png().toFile(path('png-called.jpg'))
    await plain.clone().toColourspace('cmyk').jpeg().toFile(path('cmyk.jpg'))
    const frames = { raw: { width: 24, height: 48, channels: 3, pageHeight: 24 } } as const
    await sharp(Buffer.alloc(24 * 48 * 3, 99), frames)
      .gif()
      .toFile(path('animated.gif'))
    symlinkSync(path('000.jpg'), path('linked.jpg'))
    symlinkSync(dir, path('loop'))
    // What cannot be read:
    const whole = await plain.clone().png().toBuffer()
    writeFileSync(path('empty.jpg'), '')
    writeFileSync(path('text.jpg'), 'no image')
    writeFileSync(path('cut.jpg'), await cutJpeg())
    writeFileSync(path('cut.png'), whole.subarray(0, 60))
    writeFileSync(path('vast.png'), blackPng(60_000, 60_000))
    symlinkSync(path('gone'), path('dangling.jpg'))
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/b`), Buffer.of(0xff), Buffer.from('d.jpg')]), whole)
    const folder = Buffer.concat([Buffer.from(`${dir}/folder`), Buffer.of(0xfe)])
    mkdirSync(folder)
    writeFileSync(Buffer.concat([folder, Buffer.from('/inside.png')]), whole)
    const { status, stderr } = await pretrain(cwd, '--set', 'data.maxSkippedShare=0.3')
    expect(stderr).not.toMatch(/\n {4}at /)
    expect(status).toBe(0)
    const reasons = Object.fromEntries(skipped(cwd).map(({ file, reason }) => [file, reason]))
    expect(reasons).toEqual({
      'empty.jpg': 'the file is empty',
      'text.jpg': expect.stringMatching(/^expected a JPEG, .*but the file starts with "no image"$/) as string,
      'cut.jpg': expect.stringMatching(/^cannot be decoded/) as string,
      'cut.png': expect.stringMatching(/^cannot be decoded/) as string,
      'vast.png': expect.stringMatching(/60000 x 60000 pixels are more than the limit/) as string,
      'dangling.jpg': expect.stringMatching(/ENOENT/) as string,
      'b\ufffdd.jpg': expect.stringMatching(/is not valid UTF-8: rename it/) as string,
      'folder\ufffd/\ufffd': expect.stringMatching(/is not valid UTF-8: rename it/) as string,
    })
  })

  it('continues when files vanish or change while it trains', async () => {
    const { cwd, dir } = await withImages(60)
    const wide = await sharp({ create: { width: 90, height: 20, channels: 3, background: '#fff' } })
      .jpeg()
      .toBuffer()
    const config = tinyConfig({
      train: { steps: 12, batchSize: 20 },
      data: { maxSkippedShare: 0.2 },
    })
    // Four passes over the images; at the third step at most two of them are read.
    await run({ config, data: dir, out: join(cwd, 'run') }, (event) => {
      if (event.kind !== 'step' || event.step !== 3) return false
      for (const name of ['010.jpg', '020.jpg', '030.jpg']) rmSync(join(dir, name))
      writeWhole(join(dir, '040.jpg'), 'now it is text')
      writeWhole(join(dir, '050.jpg'), wide) // another image, and another size
      return false
    })
    expect(
      skipped(cwd)
        .map(({ file }) => file)
        .sort(),
    ).toEqual(['010.jpg', '020.jpg', '030.jpg', '040.jpg'])
    expect(metricsOf(join(cwd, 'run'))).toHaveLength(12)
  })

  it('refuses a folder without images', async () => {
    const { cwd } = await withImages(10)
    mkdirSync(join(cwd, 'empty', 'deeper'), { recursive: true })
    const args = ['pretrain', '--data', 'empty', '--out', 'run', ...tiny()]
    const empty = await inProcess(args, { cwd })
    expect([empty.status, empty.stderr]).toEqual([
      1,
      expect.stringMatching(/No images in .*empty or below it: 0 other files/),
    ])
    writeFileSync(join(cwd, 'empty', 'deeper', 'notes.txt'), '')
    expect((await inProcess(args, { cwd })).stderr).toMatch(
      /No images in .*1 other files were seen, such as "deeper\/notes\.txt"/,
    )
    expect(existsSync(join(cwd, 'run'))).toBe(false)
  })

  it.each(['dataset', 'imagenet'])(
    'refuses images smaller than a patch, statistics %s',
    async (statistics) => {
      const { cwd } = await withImages(10)
      const tooLarge = { 'model.imageSize': 64, 'model.patchSize': 32, 'data.statistics': statistics }
      const { status, stderr } = await inProcess(command(tooLarge), { cwd })
      expect([status, stderr]).toEqual([
        1,
        expect.stringMatching(
          /\d+ of 10 images .*cannot be used.*\d+ x \d+ pixels are less than one patch of 32 x 32/s,
        ),
      ])
      expect(readdirSync(cwd)).toEqual(['images'])
    },
  )
})
