import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
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
  images: async function* () {
    const size = { width: 2, height: 1 }
    yield {
      shape: [files.length, 1, 2, 3],
      pixels: new Uint8Array(files.length * 6),
      indices: Int32Array.from(files.keys()),
      windows: files.map(() => ({ size, box: { left: 0, top: 0, ...size }, of: 1 })),
      next: files.length,
    }
  },
  limit: { files: files.length, maxShare: 0 },
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

describe('masks that are stopped', () => {
  const files = ['a.png', 'b.png', 'c.png', 'd.png', 'e.png']
  const groups = [
    [0, 1, 2],
    [3, 4],
  ]
  /** Images of 2 × 1 pixels, and b.png of 4 × 1, which has two windows. `begun`: where reading began. */
  const five = (begun: number[] = []): FolderSegmentation => ({
    ...segmentation(files, []),
    async *images(from, onSkip) {
      begun.push(from)
      for (const group of groups.filter(([first]) => first! >= from)) {
        const others = group.includes(1) ? [1] : []
        for (const [which, indices] of [group.filter((index) => index !== 2), others].entries()) {
          if (indices.length === 0) continue
          if (group.includes(2)) onSkip({ file: 'c.png', reason: 'cannot be read' })
          yield {
            ...{ shape: [indices.length, 1, 2, 3], indices: Int32Array.from(indices) },
            pixels: Uint8Array.from({ length: indices.length * 6 }, (_, i) => 20 * indices[0]! + i),
            windows: indices.map((index) => ({
              ...{ size: { width: index === 1 ? 4 : 2, height: 1 }, of: index === 1 ? 2 : 1 },
              box: { left: 2 * which, top: 0, width: 2, height: 1 },
            })),
            next: which === 1 || others.length === 0 ? group.at(-1)! + 1 : null,
          }
        }
      }
    },
    limit: { files: 5, maxShare: 0.2 },
    logitsOf: ({ indices, pixels }) =>
      Float32Array.from({ length: indices.length * 4 }, (_, i) => Math.sin(Number(pixels[0]) + i)),
  })
  const filesOf = (out: string) =>
    readdirSync(out, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name)).toString('base64')])
      .sort()

  it('continue with the images that have none, to the same bytes', async () => {
    const [out, work, whole] = [await workFolder(), await workFolder(), await workFolder()]
    const seen: number[] = []
    const result = await writeMasks(whole, five(), { onProgress: ({ done }) => void seen.push(done) })
    expect(result).toMatchObject({ images: 4, skipped: [{ file: 'c.png' }] })
    expect([seen[0], seen.at(-1)]).toEqual([0, 5])
    const begun: number[] = []
    const stops: string[] = []
    for (const last of [2, 3, 4]) {
      const abort = new AbortController()
      const onProgress = ({ done }: { done: number }) => void (done === last && abort.abort())
      await writeMasks(out, five(begun), { work, onProgress, signal: abort.signal }).catch((error: Error) =>
        stops.push(error.message),
      )
    }
    // a.png and the file that is left out, both of the first images, and d.png of the next ones.
    expect(stops).toEqual(
      [1, 2, 3].map((done) => `Stopped after ${done} of 5 images; the same command continues.`),
    )
    rmSync(join(out, 'masks/d.png')) // is made again
    const { files: _, ...rest } = await writeMasks(out, five(begun), { work })
    expect(rest).toEqual({ images: 4, skipped: result.skipped })
    expect(begun).toEqual([0, 0, 0, 3])
    expect(filesOf(out)).toEqual(filesOf(whole))
  })
})
