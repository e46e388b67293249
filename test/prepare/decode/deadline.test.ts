import { execFileSync } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { openBytes } from '../../../src/files/byte-file.ts'
import { examineNpy } from '../../../src/files/npy.ts'
import { giveUpOn, isGivenUp, isStuck, late, orLate } from '../../../src/prepare/decode/deadline.ts'
import { configureDecoder, sizeOfImage, tryDecodeImage } from '../../../src/prepare/decode/decode.ts'
import { readImages } from '../../../src/prepare/decode/fast-jpeg.ts'
import { readIndexMask } from '../../../src/prepare/masks/index-mask.ts'
import { openPack } from '../../../src/source/packed-images.ts'
import { scene, temporaryFolder } from './make-images.ts'

const never = () => new Promise<never>(() => {})

it('gives what comes in time, and gives up what does not', async () => {
  expect(await orLate(Promise.resolve(7), 60)).toBe(7)
  await expect(orLate(Promise.reject(new Error('broken')), 60)).rejects.toThrow('broken')
  expect(await orLate(never(), 0.01)).toBe(late)
})

it('counts what does not end, and ends the work before no thread is left', async () => {
  const before = process.env.UV_THREADPOOL_SIZE
  process.env.UV_THREADPOOL_SIZE = '4'
  try {
    let end = () => {}
    const first = new Promise<void>((resolve) => {
      end = resolve
    })
    giveUpOn('a', first)
    expect([isStuck(), isGivenUp('a'), isGivenUp('b')]).toEqual([true, true, false])
    end()
    await first
    await Promise.resolve()
    expect(isStuck()).toBe(false)
    const ends: (() => void)[] = []
    const pending = () => new Promise<void>((resolve) => ends.push(resolve))
    giveUpOn('b', pending())
    giveUpOn('c', pending())
    expect(() => giveUpOn('d', pending())).toThrow(/^Reading 3 files has not ended, and no thread is left/)
    for (const each of ends) each()
    await new Promise((resolve) => setImmediate(resolve))
    expect(isStuck()).toBe(false)
  } finally {
    if (before === undefined) delete process.env.UV_THREADPOOL_SIZE
    else process.env.UV_THREADPOOL_SIZE = before
  }
})

let dir: string
beforeAll(async () => {
  dir = await temporaryFolder()
  configureDecoder()
  for (const name of ['pipe.jpg', 'pipe.png', 'pipe.npy']) execFileSync('mkfifo', [join(dir, name)])
  execFileSync('mkfifo', [join(dir, 'manifest.json')])
  writeFileSync(join(dir, 'good.jpg'), await (await scene(40, 30, 1)).jpeg().toBuffer())
  symlinkSync('/dev/zero', join(dir, 'zero.png'))
})

it('reads nothing but files: pipes, devices and folders are refused at once', async () => {
  const request = {
    ...{ target: { width: 8, height: 8 }, channels: 3, minSide: 1, maxPixels: 1e6 },
    place: (box: { width: number; height: number }) => ({ box: { left: 0, top: 0, ...box }, flip: false }),
  }
  const [pipe, zero] = [join(dir, 'pipe.jpg'), join(dir, 'zero.png')]
  for (const path of [pipe, zero, dir]) {
    expect(await tryDecodeImage(path, request, new Uint8Array(192))).toMatch(/no regular file/)
    await expect(sizeOfImage(path, request)).rejects.toThrow(/no regular file/)
    await expect(readIndexMask(path, 1e6)).rejects.toThrow(/no regular file/)
    await expect(openBytes(path)).rejects.toThrow(/no regular file/)
  }
  const [good, none] = await readImages([join(dir, 'good.jpg'), pipe], 1e6)
  expect([good, none]).toEqual([expect.objectContaining({ width: 40, height: 30 }), null])
  expect(() => examineNpy(join(dir, 'pipe.npy'))).toThrow(/no regular file/)
  expect(() => openPack(dir)).toThrow(/no regular file/)
})
