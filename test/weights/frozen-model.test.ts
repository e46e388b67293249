import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { attentionOf } from '../../src/look/attention.ts'
import type { Parameters } from '../../src/model/parameters.ts'
import { packageRoot } from '../../src/package-root.ts'
import { imagenetStatistics, toView } from '../../src/prepare/normalize.ts'
import { layerNorm, narrow } from '../../src/tensor/ops.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tokensOf } from '../../src/weights/frozen-encoder.ts'
import { locate, openFrozenModel } from '../../src/weights/frozen-model.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { stirredParameters } from '../model/tiny-model.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose, numbers } from '../tolerance.ts'

const machine = { device: 'cpu', precision: 'float32', threads: 1 } as const
const config = tinyConfig({ model: { depth: 2 } })
const own = { mean: [0.1, 0.2, 0.3], std: [0.5, 0.4, 0.2] }
const pixels = {
  pixels: Uint8Array.from({ length: 2 * 16 * 16 * 3 }, (_, i) => (i * 31 + (i >> 8) * 7) % 256),
  shape: [2, 16, 16, 3] as const,
}

let path: string
let parameters: Parameters
beforeAll(async () => {
  path = join(await workFolder(), 'teacher.safetensors')
  parameters = stirredParameters(objectiveOf(config, 'cpu'))
  writeSafetensors(path, parameters, weightsMetadata({ config, statistics: own }))
})

describe('a frozen model', () => {
  it('says of views that are normalised as the run’s are what its encoder says of the images', async () => {
    const teacher = await openFrozenModel(path, { config, statistics: imagenetStatistics, machine })
    const encoder = await openEncoder({ model: path, device: 'cpu' })
    scope(() => {
      const [features] = teacher.features(toView(pixels, imagenetStatistics, 'cpu'), null)
      const { sequence } = tokensOf(encoder)(pixels)
      expect(features!.shape).toEqual([2, 16, 32])
      expectClose(features!, narrow(sequence, 1, 1, 16), 2e-5)
      expect([teacher.width, teacher.depth]).toEqual([32, 2])
      expect(teacher.hash).toBe(createHash('sha256').update(readFileSync(path)).digest('hex'))
    })
    expect(await locate.frozen(path)).toEqual({ path, width: 32 })
  })

  it('one whose file leaves something open is to be imported, since keys of a run are not the teacher’s', async () => {
    const file = join(packageRoot(), 'test/fixtures/weights/mae.pth')
    await expect(locate.frozen(file)).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(
        /does not say model\.heads.*not options of this run: give them to "npx sherd import \S*mae\.pth --out FILE\.safetensors"/,
      ),
    })
  })

  it('gives the outputs of blocks before the final norm', async () => {
    const short = tinyConfig({ model: { depth: 1 } })
    const shortPath = join(await workFolder(), 'short.safetensors')
    const kept = [...parameters].filter(([name]) => !name.startsWith('blocks.1.'))
    writeSafetensors(shortPath, new Map(kept), weightsMetadata({ config: short, statistics: own }))
    const teacher = await openFrozenModel(path, { config, statistics: own, machine })
    const one = await openFrozenModel(shortPath, { config, statistics: own, machine })
    scope(() => {
      const view = toView(pixels, own, 'cpu')
      const [first, last] = teacher.features(view, [0, 1])
      const norm = [parameters.get('norm.weight')!, parameters.get('norm.bias')!] as const
      expectClose(layerNorm(last!, ...norm, 1e-6), teacher.features(view, null)[0]!, 2e-5)
      expectClose(layerNorm(first!, ...norm, 1e-6), one.features(view, null)[0]!, 2e-5)
    })
  })

  it.each([true, false])(
    'says how much patches are attended to, and features from the same pass: cls %s',
    async (cls) => {
      const config = tinyConfig({ model: { depth: 2, cls, ...(!cls && { feature: 'mean' }) } })
      const made = stirredParameters(objectiveOf(config, 'cpu'))
      const model = join(await workFolder(), 'attended.safetensors')
      writeSafetensors(model, made, weightsMetadata({ config, statistics: own }))
      const teacher = await openFrozenModel(model, { config, statistics: own, machine })
      const encoder = await openEncoder({ model, device: 'cpu' })
      const heads = 2
      const { taps, read } = attentionOf(encoder, 1)
      scope(() => {
        // By head, of one image: [A, P + N].
        const first = {
          ...pixels,
          pixels: pixels.pixels.subarray(0, 16 * 16 * 3),
          shape: [1, 16, 16, 3] as const,
        }
        const byHead = numbers(read(tokensOf(encoder, { taps })(first)))
        const all = byHead.length / heads
        const wanted = Array.from({ length: 16 }, (_, n) => {
          const at = all - 16 + n
          return (byHead[at]! + byHead[all + at]!) / 2
        })
        const view = toView(pixels, own, 'cpu')
        const { attention, features } = teacher.attention(view)
        expect([attention.shape, features]).toEqual([[2, 16], []])
        expectClose(numbers(attention).slice(0, 16), wanted, 1e-6)
        for (const blocks of [null, [0], [1, 0]]) {
          const both = teacher.attention(view, { blocks })
          expect(both.features.map(numbers)).toEqual(teacher.features(view, blocks).map(numbers))
          expect(numbers(both.attention)).toEqual(numbers(attention))
        }
      })
    },
  )

  it('is refused where it was trained on other channels', async () =>
    await expect(
      openFrozenModel(path, {
        ...{ config: tinyConfig({ model: { channels: 1 } }), machine },
        statistics: { mean: [0], std: [1] },
      }),
    ).rejects.toThrow(/was trained on 3 channels, and this run has 1 channels/))
})
