import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { pixelsAddon } from '../../../src/native/pixels-addon.ts'
import { centerCrop } from '../../../src/prepare/crop.ts'
import { configureDecoder, tryDecodeBytes, tryDecodeImage } from '../../../src/prepare/decode/decode.ts'
import { from16Bits, scene, temporaryFolder } from './make-images.ts'

let dir: string
beforeAll(async () => {
  dir = await temporaryFolder()
  configureDecoder()
})

const target = { width: 24, height: 16 }
const request = {
  ...{ target, channels: 3, minSide: 4, maxPixels: 1e6 },
  place: (image: { width: number; height: number }) => ({ box: centerCrop(image, target), flip: false }),
}

it('a file in memory is decoded as the same file on the disk, and refused for the same reason', async () => {
  const images = {
    'large.jpg': (await scene(400, 300, 1)).jpeg(),
    'small.jpg': (await scene(30, 20, 2)).jpeg(),
    'progressive.jpg': (await scene(130, 120, 3)).jpeg({ progressive: true }),
    'turned.jpg': (await scene(50, 40, 4)).withMetadata({ orientation: 8 }).jpeg(),
    'deep.png': from16Bits(
      Uint16Array.from({ length: 1200 }, (_, i) => i * 50),
      20,
      3,
    ).png(),
    'tiny.png': (await scene(3, 30, 5)).png(),
    'huge.png': (await scene(1100, 1000, 6)).png({ compressionLevel: 0 }),
  }
  for (const [name, image] of Object.entries(images)) {
    const path = join(dir, name)
    await image.toFile(path)
    const bytes = readFileSync(path)
    const before = Buffer.from(bytes)
    const [fromDisk, fromMemory] = [new Uint8Array(1152), new Uint8Array(1152)]
    const reason = await tryDecodeImage(path, request, fromDisk)
    const { place, ...limits } = request
    const sample = (size: { width: number; height: number }) => ({ ...place(size), target, out: fromMemory })
    expect([name, await tryDecodeBytes(bytes, { ...limits, sample })]).toEqual([name, reason])
    expect(Buffer.compare(fromMemory, fromDisk)).toBe(0)
    expect(reason === null).toBe(!/tiny|huge/.test(name))
    expect(Buffer.compare(bytes, before)).toBe(0)
  }
})

it.runIf(pixelsAddon()?.jpeg)(
  'the addon takes whole plain JPEGs only, and never reads past their end',
  async () => {
    const { openImage } = pixelsAddon()!
    const jpeg = await (await scene(60, 50, 7)).jpeg().toBuffer()
    expect(openImage(jpeg)).toMatchObject({ width: 60, height: 50 })
    for (const other of [Buffer.of(), Buffer.from('text'), await (await scene(9, 9, 1)).png().toBuffer()])
      expect(openImage(other)).toBeNull()
    for (let length = 0; length < 700; length++) openImage(jpeg.subarray(0, length))
    expect(() => openImage('text' as never)).toThrow('Uint8Array')
  },
)
