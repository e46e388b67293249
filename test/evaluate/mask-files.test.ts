import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { likeliest, maskNames, writeMasks } from '../../src/evaluate/mask-files.ts'
import { readIndexMask } from '../../src/prepare/masks/index-mask.ts'
import type { FolderSegmentation } from '../../src/weights/folder-segmentation.ts'
import { workFolder } from '../run/tiny.ts'

it('the class of a pixel is that of its largest logit, of equal ones the first', () => {
  // Three classes of four pixels.
  const logits = Float32Array.of(1, 0, 5, -2, 1, 2, 4, -1, 0, 3, 5, -3)
  expect([...likeliest(logits, 3)]).toEqual([0, 2, 0, 1])
})

it('masks are named after images, which may differ in their ending alone', () => {
  expect(maskNames(['a/b.jpg', 'a/c.jpg', 'a/c.png', 'd.e/f', 'g.tar.png'])).toEqual([
    ...['a/b.png', 'a/c.jpg.png', 'a/c.png.png', 'd.e/f.png', 'g.tar.png'],
  ])
})

it('no mask takes the place of another', () => {
  expect(maskNames(['b.jpg', 'b.png', 'b.jpg.gif'])).toEqual(['b.jpg.png', 'b.png.png', 'b.jpg.gif.png'])
  expect(maskNames(['B.jpg', 'b.png'])).toEqual(['B.jpg.png', 'b.png.png']) // where case does not matter
})

/** Images of 1 × 2 pixels, whose logits are given. */
const segmentation = (files: string[], logits: number[]): FolderSegmentation => ({
  source: { kind: 'images', dir: '/d', files, classes: [], labels: null } as FolderSegmentation['source'],
  batches: (async function* () {
    yield {
      shape: [files.length, 1, 2, 3],
      pixels: new Uint8Array(files.length * 6),
      indices: Int32Array.from(files.keys()),
    }
  })(),
  skipped: [],
  facts: { classes: ['ground', 'box'], numbers: [4, 9] },
  bands: null,
  logitsOf: () => Float32Array.from(logits),
  model: { path: 'm', step: null, precision: 'fp32' },
})

it('masks have the numbers that the classes had in training', async () => {
  const out = await workFolder()
  const given = segmentation(['x/a.png', 'b.jpg'], [1, 0, 0, 1, 0, 0, 1, 1])
  expect(await writeMasks(out, given)).toMatchObject({ images: 2 })
  const numbers = async (name: string) => [...(await readIndexMask(join(out, 'masks', name), 100)).indices]
  expect([await numbers('x/a.png'), await numbers('b.png')]).toEqual([
    [4, 9],
    [9, 9],
  ])
  expect(JSON.parse(readFileSync(join(out, 'masks.json'), 'utf8'))).toMatchObject({
    classes: [
      { name: 'ground', number: 4 },
      { name: 'box', number: 9 },
    ],
    images: [
      { file: 'x/a.png', mask: 'masks/x/a.png' },
      { file: 'b.jpg', mask: 'masks/b.png' },
    ],
  })
})

it('names that lead out of the folder are refused', async () => {
  const out = await workFolder()
  await expect(writeMasks(join(out, 'in'), segmentation(['../../evil.jpg'], [0, 0, 1, 1]))).rejects.toThrow(
    /leads elsewhere/,
  )
  expect(existsSync(join(out, 'evil.png'))).toBe(false)
})
