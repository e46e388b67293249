import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isCompiled } from '../../src/native/compile.ts'
import { pixelsAddon, planPixels } from '../../src/native/pixels-addon.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const addon = pixelsAddon()!
const bytes = new Uint8Array(4 * 3 * 3)
const out = new Uint8Array(2 * 2 * 3)
/** Resized to 2 × 2, all of it, by the first kernel, to bytes, black beside it. */
const plain = [2, 2, 0, 0, 0, 0, 0, 0, 0]
const place = (...numbers: number[]) => Float64Array.from([...numbers, ...plain])

describe('the pixels addon', () => {
  it('is compiled below native/build', () => {
    expect(isCompiled(planPixels())).toBe(true)
    expect(planPixels().path).toMatch(/native\/build\/[0-9a-f]{16}\/pixels\.node$/)
  })

  const resize = (...changes: [number, unknown][]) => {
    const given: unknown[] = [bytes, 4, 3, 3, place(0, 0, 4, 3, 0), 2, 2, 3, out]
    for (const [i, value] of changes) given[i] = value
    return () => (addon.resize as (...given: unknown[]) => void)(...given)
  }
  it('resizes what makes sense', () => expect(resize()).not.toThrow())

  it.each<[string, [number, unknown]]>([
    ['pixels that are none', [0, 'text']],
    ['pixels of another type', [0, new Float32Array(36)]],
    ['a width that is too large', [1, 5]],
    ['a width that is none', [1, Number.NaN]],
    ['no width', [1, undefined]],
    ['a negative height', [2, -1]],
    ['a huge height', [2, 1e300]],
    ['no channels', [3, 0]],
    ['a box outside', [4, place(1, 0, 4, 3, 0)]],
    ['a box that begins before', [4, place(-1, 0, 4, 3, 0)]],
    ['an empty box', [4, place(0, 0, 0, 3, 0)]],
    ['a box between pixels', [4, place(0.5, 0, 2, 2, 0)]],
    ['a short place', [4, place(0, 0, 4)]],
    ['no resized size', [4, Float64Array.of(0, 0, 4, 3, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0)]],
    ['a sample beside the image', [4, Float64Array.of(0, 0, 4, 3, 0, 2, 2, -2, 0, 0, 0, 0, 0, 0)]],
    ['a sample behind the image', [4, Float64Array.of(0, 0, 4, 3, 0, 2, 2, 0, 2, 0, 0, 0, 0, 0)]],
    ['a kernel that is not there', [4, Float64Array.of(0, 0, 4, 3, 0, 2, 2, 0, 0, 2, 0, 0, 0, 0)]],
    ['exact values in the room of bytes', [4, Float64Array.of(0, 0, 4, 3, 0, 2, 2, 0, 0, 0, 1, 0, 0, 0)]],
    ['a target of nothing', [5, 0]],
    ['a target that is too large', [6, 3]],
    ['other channels', [7, 2]],
    ['too little room', [8, new Uint8Array(11)]],
  ])('refuses %s', (_, change) => expect(resize(change)).toThrow())

  it('refuses what does not lie within a mapped file, or is no longer there', () => {
    const dir = temporaryFolder({})
    const path = join(dir, 'pixels')
    writeFileSync(
      path,
      Uint8Array.from({ length: 100 }, (_, i) => i),
    )
    const files = addon.map([path])
    const crop = (...row: number[]) => {
      const into = new Uint8Array(2 * 2 * 3)
      addon.cropBatch(files, Float64Array.of(...row, ...plain, 0), 3, 2, 2, 3, into, 4)
      return [...into]
    }
    const box = [0, 0, 2, 2, 0]
    expect(crop(0, 64, 6, 2, ...box)).toEqual([64, 65, 66, 67, 68, 69, 82, 83, 84, 85, 86, 87])
    expect(crop(0, 64, 6, 2, 0, 0, 2, 2, 1)).toEqual([67, 68, 69, 64, 65, 66, 85, 86, 87, 82, 83, 84])
    expect(crop(0, 88, 2, 2, ...box)).toEqual([88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99])
    for (const row of [
      [1, 0, 2, 2, ...box],
      [0, 89, 2, 2, ...box],
      [0, 0, 34, 1, 0, 0, 2, 1, 0],
      [0, -1, 2, 2, ...box],
      [0, 0, 2 ** 31, 2 ** 31, ...box],
      [0, 0, Number.NaN, 2, ...box],
      [0, 0, 2, 2, 1, 0, 2, 2, 0],
    ])
      expect(() => crop(...row), String(row)).toThrow()
    const into = new Uint8Array(24)
    const second = (row: number) =>
      addon.cropBatch(files, Float64Array.of(0, 64, 6, 2, ...box, ...plain, row), 3, 2, 2, 3, into, 4)
    second(1)
    expect([...into]).toEqual([...Array(12).fill(0), ...crop(0, 64, 6, 2, ...box)])
    for (const row of [2, -1, 0.5]) expect(() => second(row)).toThrow(/place in the batch/)
    expect(() => addon.map([join(dir, 'gone')])).toThrow(/cannot open .*gone: No such file/)
    const held = new Uint8Array(new SharedArrayBuffer(100)).map((_, i) => i)
    expect(() => addon.map([new Uint16Array(4) as unknown as Uint8Array])).toThrow(/cannot open/)
    const memory = addon.map([path, held])
    const cut = (...row: number[]) => {
      const into = new Uint8Array(12)
      addon.cropBatch(memory, Float64Array.of(...row, ...plain, 0), 3, 2, 2, 3, into, 4)
      return [...into]
    }
    expect(cut(1, 64, 6, 2, ...box)).toEqual(crop(0, 64, 6, 2, ...box))
    expect(() => cut(1, 89, 2, 2, ...box)).toThrow(/does not lie within its file/)
    truncateSync(path, 50)
    expect(() => cut(1, 0, 2, 2, ...box)).toThrow(/was cut while it was in use/) // the file beside it
    addon.unmap(memory)
    expect(() => cut(1, 0, 2, 2, ...box)).toThrow(/the file is out of range/)
    expect(() => crop(0, 0, 2, 2, ...box)).toThrow(/was cut while it was in use/)
  })
})
