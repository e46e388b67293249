import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { paintScene, sceneNames } from '../../src/sample-data/scenes.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sherd-sample-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const small = { count: 23, size: 24, seed: 4 }

describe('writeSampleData', () => {
  it('writes balanced classes of JPEG files that show the scenes', async () => {
    const dir = join(root, 'deep', 'set')
    const seen: number[] = []
    const result = await writeSampleData({
      dir,
      ...small,
      onProgress: (done, count) => seen.push(done / count),
    })
    expect(result).toEqual({ dir, count: 23, classes: sceneNames })
    expect(seen).toEqual(Array.from({ length: 23 }, (_, k) => (k + 1) / 23))
    expect((await readdir(dir)).sort()).toEqual([...sceneNames, 'sample-data.json'].sort())
    for (const [label, scene] of sceneNames.entries()) {
      const files = (await readdir(join(dir, scene))).sort()
      expect(files).toEqual(['00000.jpg', '00001.jpg', '00002.jpg'].slice(0, label < 3 ? 3 : 2))
      for (const [index, file] of files.entries()) {
        const { data, info } = await sharp(join(dir, scene, file))
          .raw()
          .toBuffer({ resolveWithObject: true })
        expect([info.width, info.height, info.channels]).toEqual([24, 24, 3])
        const painted = paintScene({ scene, seed: 4, index, size: 24 })
        const error = data.reduce((sum, value, k) => sum + Math.abs(value - painted[k]!), 0) / data.length
        expect(error).toBeLessThan(6)
      }
    }
    expect(JSON.parse(await readFile(join(dir, 'sample-data.json'), 'utf8'))).toEqual({
      format: 'sherd-sample-data/1',
      ...small,
      classes: sceneNames,
    })
  })

  it('writes the same image whatever the count', async () => {
    const few = join(root, 'few')
    const many = join(root, 'many')
    await writeSampleData({ dir: few, ...small, count: 10 })
    await writeSampleData({ dir: many, ...small, count: 30 })
    for (const scene of sceneNames)
      expect(await readFile(join(few, scene, '00000.jpg'))).toEqual(
        await readFile(join(many, scene, '00000.jpg')),
      )
  })

  it('leaves a complete set alone, and refuses any other content', async () => {
    const dir = join(root, 'again')
    await writeSampleData({ dir, ...small })
    const file = join(dir, 'wood', '00000.jpg')
    const before = (await stat(file)).mtimeMs
    expect(await writeSampleData({ dir, ...small })).toEqual({ dir, count: 23, classes: sceneNames })
    expect((await stat(file)).mtimeMs).toBe(before)

    await expect(writeSampleData({ dir, ...small, seed: 5 })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /holds another sample set\. Expected .*"seed":5.* found .*"seed":4.*replace this one/,
      ),
    })
    await rm(join(dir, 'sample-data.json'))
    await expect(writeSampleData({ dir, ...small })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /not empty and not a complete sample set\. Give another folder, or delete/,
      ),
    })
    await expect(writeSampleData({ dir: file, ...small })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringContaining('cannot use'),
    })
    await writeFile(join(root, 'file'), '')
    await expect(writeSampleData({ dir: join(root, 'file', 'below'), ...small })).rejects.toMatchObject({
      code: 'SOURCE',
    })
  })

  it.each([
    [{ count: 9 }, 'expected count, an integer of at least 10, got 9'],
    [{ count: 10.5 }, 'expected count, an integer of at least 10, got 10.5'],
    [{ size: 15 }, 'expected size, an integer from 16 to 1024, got 15'],
    [{ size: 1025 }, 'expected size, an integer from 16 to 1024, got 1025'],
    [{ size: Number.NaN }, 'got NaN'],
    [{ seed: -1 }, 'expected seed, an integer in [0, 2^53), got -1'],
  ])('refuses %o', async (change, message) => {
    const dir = join(root, 'never')
    await expect(writeSampleData({ dir, ...small, ...change })).rejects.toMatchObject({
      code: 'VALUE',
      message: expect.stringContaining(message),
    })
    await expect(stat(dir)).rejects.toThrow('ENOENT')
  })
})
