import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { expect, it } from 'vitest'
import { writeDocPictures } from '../../scripts/look/doc-pictures.ts'
import { packageRoot } from '../../src/package-root.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

const names = ['look-attention.png', 'look-features.png', 'look-nearest.png']

it('draws the pictures of the page, twice the same', async () => {
  const encoder = await openEncoder({ model: 'random', config: tinyConfig(), device: 'cpu', seed: 3 })
  const dir = await workFolder()
  for (const out of ['a', 'b'].map((name) => join(dir, name))) {
    mkdirSync(out)
    const made = await writeDocPictures(encoder, out, [2, 1])
    expect(made.map(([name]) => name)).toEqual(names)
  }
  for (const name of readdirSync(join(dir, 'a')))
    expect(readFileSync(join(dir, 'a', name)).equals(readFileSync(join(dir, 'b', name)))).toBe(true)
  const { width, height } = await sharp(join(dir, 'a/look-features.png')).metadata()
  expect(width).toBeGreaterThan(2 * 224)
  expect(height).toBeGreaterThan(2 * 224)
})

it('are small in docs/, and the page shows them', () => {
  const page = readFileSync(join(packageRoot(), 'docs/look.md'), 'utf8')
  const sizes = names.map((name) => readFileSync(join(packageRoot(), 'docs/images', name)).length)
  expect(sizes.reduce((a, b) => a + b)).toBeLessThan(300_000)
  for (const name of names) expect(page).toContain(`](images/${name})`)
})
