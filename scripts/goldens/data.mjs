// The images that the recorded runs learn from: sherd's own sample sets, and photographs with masks made of their brightness.
import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'

/** Masks of three classes by brightness, with the darkest tenth left out (255). */
async function maskPhotographs(photographs, dir) {
  await mkdir(join(dir, 'images'), { recursive: true })
  await mkdir(join(dir, 'masks'), { recursive: true })
  const files = (await readdir(photographs, { recursive: true }))
    .filter((name) => name.endsWith('.jpg'))
    .sort()
  for (const file of files.slice(0, 24)) {
    const name = file.replaceAll(/[\\/]/g, '-').replace('.jpg', '')
    const { data, info } = await sharp(join(photographs, file))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    const { width, height } = info
    const bright = Uint8Array.from(
      { length: width * height },
      (_, i) => (data[3 * i] + 2 * data[3 * i + 1] + data[3 * i + 2]) >> 2,
    )
    const labels = bright.map((value) => (value < 26 ? 255 : value < 90 ? 0 : value < 150 ? 1 : 2))
    await cp(join(photographs, file), join(dir, 'images', `${name}.jpg`))
    await sharp(labels, { raw: { width, height, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toFile(join(dir, 'masks', `${name}.png`))
  }
}

/** Writes the sets below `folder`, with the writers of that build. Returns a digest of each: another set of bits is no fault of training. */
export async function writeData({ writeSampleData, writeSatelliteData }, folder) {
  const photographs = join(folder, 'photographs')
  await writeSampleData({ dir: photographs, count: 60, size: 40, seed: 5 })
  await maskPhotographs(photographs, join(folder, 'masked-photographs'))
  const scenes = { size: 56, layout: 'stack', seed: 5 }
  await writeSatelliteData({ ...scenes, dir: join(folder, 'scenes'), count: 24, dates: 2, masks: false })
  await writeSatelliteData({
    ...scenes,
    dir: join(folder, 'masked-scenes'),
    count: 16,
    dates: 1,
    masks: true,
  })
  const digests = {}
  for (const name of ['photographs', 'masked-photographs', 'scenes', 'masked-scenes']) {
    const hash = createHash('sha256')
    for (const file of (await readdir(join(folder, name), { recursive: true })).sort())
      if (/\.(jpg|png|tif)$/.test(file)) hash.update(file).update(await readFile(join(folder, name, file)))
    digests[name] = hash.digest('hex').slice(0, 16)
  }
  return digests
}
