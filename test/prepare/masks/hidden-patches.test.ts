/** Masks drawn by hand, and which patches of a sample they hide. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import {
  expectMaskFiles,
  hiddenPatches,
  maskPath,
  readMaskOf,
} from '../../../src/prepare/masks/hidden-patches.ts'
import { folderOfFile } from '../../after-file.ts'

/** A mask of the characters of its rows: # is masked. */
const drawn = (...rows: string[]) => ({
  ...{ width: rows[0]!.length, height: rows.length },
  indices: Uint8Array.from([...rows.join('')], (c) => (c === '#' ? 255 : 0)),
})
const grid = { h: 2, w: 2 }
const four = { width: 4, height: 4 }
const whole = { box: { left: 0, top: 0, ...four }, flip: false, target: { width: 8, height: 8 } }
const hidden = (...given: Parameters<typeof hiddenPatches>) => [...hiddenPatches(...given)]

describe('a patch is hidden when more than half of it is masked', () => {
  const mask = drawn('##.#', '#..#', '....', '..##') // 3, 2, 0 and 2 of 4 pixels
  it('three of four pixels are, two are not', () => {
    expect(hidden(mask, four, whole, grid)).toEqual([1, 0, 0, 0])
  })
  it('mirrored as its image', () => {
    expect(hidden(mask, four, { ...whole, flip: true }, grid)).toEqual([0, 1, 0, 0])
  })
  it('cut as its image: of columns 1 to 3 and rows 0 to 2 each patch is 1.5 pixels wide', () => {
    const box = { left: 1, top: 0, width: 3, height: 3 }
    // The first: x 1 to 2.5, y 0 to 1.5: 1 of 2.25. The second: x 2.5 to 4: the column 3, 1.5 of 2.25.
    expect(hidden(mask, four, { ...whole, box }, grid)).toEqual([0, 1, 0, 0])
  })
  it('of any size with the shape of the image', () => {
    const image = { width: 400, height: 400 }
    const box = { left: 0, top: 0, ...image }
    expect(hidden(mask, image, { ...whole, box }, grid)).toEqual([1, 0, 0, 0])
    expect(hidden(drawn('#.', '.#'), image, { ...whole, box }, grid)).toEqual([1, 0, 0, 1])
    expect(
      hidden(drawn('#.', '.#'), image, { ...whole, box: { ...box, left: 200, width: 200 } }, grid),
    ).toEqual([0, 0, 1, 0].map((_, n) => (n === 2 || n === 3 ? 1 : 0)))
  })
  it('of the cut of a resized box, which may reach beyond the image', () => {
    // The image becomes 8 × 8 pixels, and the sample is those from 4 on to 12: the lower right quarter, and what lies beyond.
    const cut = { size: { width: 8, height: 8 }, left: 4, top: 4 }
    expect(hidden(drawn('....', '....', '..##', '..##'), four, { ...whole, cut }, grid)).toEqual([1, 0, 0, 0])
  })
})

it('a sample that is masked entirely shows its least masked patch, of equal ones the first', () => {
  expect(hidden(drawn('####', '####', '####', '##.#'), four, whole, grid)).toEqual([1, 1, 1, 0])
  expect(hidden(drawn('####', '####', '####', '####'), four, whole, grid)).toEqual([0, 1, 1, 1])
})

describe('files', () => {
  const dir = folderOfFile('sherd-masks-')
  const grey = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: 'white' } })
      .toColourspace('b-w')
      .png()
      .toBuffer()

  it('have the paths of their images, and the extension .png', async () => {
    mkdirSync(join(dir, 'a.b'), { recursive: true })
    writeFileSync(join(dir, 'a.b/one.png'), await grey(8, 4))
    expect(maskPath(dir, 'a.b/one.two.jpg')).toBe(join(dir, 'a.b/one.two.png'))
    expectMaskFiles(dir, ['a.b/one.jpg'])
    expect(() => expectMaskFiles(dir, ['a.b/one.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'e.png'])).toThrow(
      /4 of 5 images have no mask: expected .*b\.png, .*c\.png, .*d\.png …/,
    )
    expect(() => expectMaskFiles(join(dir, 'none'), ['a.jpg'])).toThrow(/There is no folder .*none/)
  })

  it('are refused in words where they are no mask of the image', async () => {
    const path = join(dir, 'a.b/one.png')
    const said = (image: { width: number; height: number }) => readMaskOf(path, image, 1e6)
    expect(await said({ width: 800, height: 401 })).toMatchObject({ width: 8, height: 4 })
    expect(await said({ width: 800, height: 600 })).toMatch(/one\.png is 8 × 4, and the image 800 × 600/)
    writeFileSync(
      path,
      await sharp({ create: { width: 8, height: 4, channels: 3, background: 'red' } })
        .png()
        .toBuffer(),
    )
    expect(await said({ width: 8, height: 4 })).toMatch(/one\.png: .*colours/)
    writeFileSync(path, 'no image at all')
    expect(await said({ width: 8, height: 4 })).toMatch(/one\.png: expected a mask as PNG/)
  })
})
