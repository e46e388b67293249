/** The reference file of masks that follow weights of the patches: AttMask, MILAN, AMT. */
import { z } from 'zod'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { call } from '../tensor/call.ts'
import { toDevice, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { expectShape } from '../tensor/shape.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { sidesOf } from '../token/grid.ts'
import {
  type AttMaskWay,
  attMask,
  keepSalient,
  maskSome,
  predictOrThrow,
  samplingOrder,
} from '../token/mask-rules.ts'
import { patchify } from '../token/patchify.ts'
import { compare } from './check.ts'
import { parseMetadata } from './metadata.ts'
import type { Checked } from './operator-file.ts'
import { numbersOf } from './trajectory.ts'

const share = z.number().min(0).max(1)
const configSchema = z.strictObject({
  patches: z.tuple([z.int().min(1).max(4096), z.int().min(1).max(4096)]),
  batch: z.int().min(1),
  patchSize: z.int().min(1).max(16_384),
  ...{ attmaskRatio: share, maskingProb: share, showMax: share, milanRatio: share },
  ...{ amtRatio: share, throwRatio: share },
})

export const checkMaskRules = (file: string, device: Device): Checked =>
  scope(() => {
    const { metadata, tensors } = readSafetensors(file)
    const config = parseMetadata(metadata.config, 'config', configSchema)
    const { batch, patches, patchSize, maskingProb, showMax } = config
    const input = (name: string, shape: readonly number[]): Tensor => {
      const found = tensors.get(`input.${name}`)
      if (!found) throw new SherdError('VALUE', `it has no tensor "input.${name}"`)
      expectShape(found, shape, `input.${name}`)
      return toDevice(found, device)
    }
    const [h, w] = patches
    const each = [batch, h * w]
    const attention = input('attention', each)
    const race = input('race', each)
    const gate = input('gate', [batch])
    const pixels = input('pixelWeights', [batch, h * patchSize, w * patchSize])
    const ofPixels = patchify(unsqueeze(pixels, 1), sidesOf(patchSize)) // [B, N, P·P]
    const salient = samplingOrder(attention, race)
    const attended = (way: AttMaskWay) =>
      maskSome(attMask(attention, { way, ratio: config.attmaskRatio, showMax }, race), gate, maskingProb)
    const found: Readonly<Record<string, () => Tensor>> = {
      attmaskHigh: () => attended('high'),
      attmaskLow: () => attended('low'),
      attmaskHint: () => attended('hint'),
      milan: () => keepSalient(salient, config.milanRatio),
      milanOrder: () => salient,
      amt: () =>
        predictOrThrow(samplingOrder(call('sum.dim_IntList', ofPixels, [2], false, null), race), {
          ratio: config.amtRatio,
          throwRatio: config.throwRatio,
        }),
    }
    const expected = [...tensors].filter(([name]) => name.startsWith('expected.'))
    if (expected.length === 0) throw new SherdError('VALUE', 'it expects nothing')
    const known = (name: string) => found[name.replace('expected.out.', '')]
    return {
      checks: expected.flatMap(([name, wanted]) => {
        const made = known(name)?.()
        if (!made) return []
        const numbers = { data: numbersOf(wanted), shape: wanted.shape }
        return [compare(name.slice('expected.'.length), numbersOf(made), numbers, { tolerance: 0 })]
      }),
      notSupported: expected.flatMap(([name]) => (known(name) ? [] : [name])),
    }
  })
