import { expect, it } from 'vitest'
import { weightsOf, within } from '../../../src/model/parameters.ts'
import { embedPatches, embedRows } from '../../../src/model/stem/patch-embedding.ts'
import { call } from '../../../src/tensor/call.ts'
import { permute, reshape } from '../../../src/tensor/ops.ts'
import { scope } from '../../../src/tensor/scope.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { patchify } from '../../../src/token/patchify.ts'
import { expectClose, wave } from '../../tolerance.ts'
import { stirredParameters } from '../tiny-model.ts'

it.each<[number, number]>([
  [2, 2],
  [2, 4],
  [6, 1],
])('a patch of %i × %i is embedded as a convolution of that stride does it', (h, w) =>
  scope(() => {
    const rows = embedRows('patch_embed', 3, { width: 5, patchSize: [h, w] })
    expect(rows[0]!.shape).toEqual([5, 3, h, w])
    const weights = within(weightsOf(stirredParameters({ rows })), 'patch_embed')
    const images = tensor(wave(2 * 3 * 6 * 8), [2, 3, 6, 8])
    const [kernel, bias] = [weights('proj.weight'), weights('proj.bias')]
    const map = call('conv2d', images, kernel, bias, [h, w], [0, 0], [1, 1], 1) // [2, 5, 6/h, 8/w]
    const expected = permute(reshape(map, [2, 5, 48 / (h * w)]), [0, 2, 1])
    expectClose(embedPatches(patchify(images, [h, w]), weights), call('contiguous', expected), 1e-5)
  }),
)
