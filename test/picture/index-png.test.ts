import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, expect, it } from 'vitest'
import { classColour } from '../../src/picture/class-map.ts'
import { indexPng } from '../../src/picture/index-png.ts'
import { readIndexMask } from '../../src/prepare/masks/index-mask.ts'

const dir = mkdtempSync(join(tmpdir(), 'sherd-png-'))
afterAll(() => rmSync(dir, { recursive: true }))

it.each([
  ['with a palette', [0, 3, 255, 7, 0, 1]],
  ['of sixteen bits', [0, 300, 65_535, 7, 0, 256]],
])('%s is read as the numbers that it was made of', async (name, numbers) => {
  const path = join(dir, `${name}.png`)
  writeFileSync(path, indexPng(Uint16Array.from(numbers), { width: 3, height: 2 }, classColour))
  const { width, height, indices } = await readIndexMask(path, 1e6)
  expect([width, height, [...indices]]).toEqual([3, 2, numbers])
})

it('shows people the colours of the classes', async () => {
  const png = indexPng(Uint16Array.of(0, 1, 2), { width: 3, height: 1 }, classColour)
  const { data, info } = await sharp(png)
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  expect(info).toMatchObject({ width: 3, height: 1, channels: 3 })
  expect([...data]).toEqual([0, 1, 2].flatMap(classColour))
})
