import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { depthNote } from '../../../src/prepare/decode/bit-depth.ts'
import { from16Bits, fromBytes, temporaryFolder } from './make-images.ts'

const dark = join(packageRoot(), '../shared/cases/dark')
const noteOf = async (files: Record<string, Uint8Array | string>) => {
  const dir = await temporaryFolder()
  for (const [name, data] of Object.entries(files))
    await (typeof data === 'string' ? copyFile(data, join(dir, name)) : writeFile(join(dir, name), data))
  return depthNote({ dir, files: Object.keys(files) }, { maxPixels: 1e6 })
}

it.each<[string, RegExp]>([
  [
    'xray-12bit.png',
    /values up to 4095, 6\.2 % of the range: of 256 levels only 16 are left.*data\.range=\[0,4095\]/,
  ],
  [
    'sentinel-rgb-0.tif',
    /values up to 3000, 4\.6 % of the range: of 256 levels only 12 are left.*\[0,4095\]/,
  ],
])('%s uses a part of its 16 bits, which is said', async (name, said) => {
  expect(await noteOf({ [name]: join(dark, name) })).toMatch(said)
})

it('nothing is said of images of 8 bits, of those that use their range, and of broken ones', async () => {
  const bright = await from16Bits([0, 40_000], 2, 1).png().toBuffer()
  const black = await from16Bits([0, 0], 2, 1).png().toBuffer()
  const plain = await fromBytes([1, 2, 3], 1).png().toBuffer()
  expect(await noteOf({ 'a.png': plain, 'b.png': black, 'c.png': bright.subarray(0, 40) })).toBeNull()
  expect(await noteOf({ 'a.png': bright, 'b.png': join(dark, 'xray-12bit.png') })).toBeNull()
})

it('alpha is no brightness', async () => {
  const clear = await from16Bits([100, 200, 300, 65_535], 1, 4).png().toBuffer()
  expect(await noteOf({ 'a.png': clear })).toMatch(/values up to 300.*\[0,511\]/)
})
