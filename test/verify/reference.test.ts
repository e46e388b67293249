import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { scope } from '../../src/tensor/scope.ts'
import { readReference } from '../../src/verify/reference.ts'

const read = (name: string) => readReference(join(packageRoot(), 'test/reference', `${name}.safetensors`))

it('reads dimensions, options and optimizer as the script that made the file set them', () =>
  scope(() => {
    const { objective, dimensions, maskRatio, normalizeTarget, optimizer, tensors } = read('mae-4ch-raw')
    expect(objective).toBe('mae')
    expect(dimensions).toEqual({
      imageSize: [8, 8],
      patchSize: 2,
      channels: 4,
      width: 32,
      depth: 2,
      heads: 4,
      decoderWidth: 20,
      decoderDepth: 1,
      decoderHeads: 2,
      mlpRatio: 2,
      layerNormEpsilon: 1e-6, // not in the file
    })
    expect([maskRatio, normalizeTarget]).toEqual([0.7, false])
    expect(Object.keys(optimizer).sort()).toEqual([
      'beta1',
      'beta2',
      'epsilon',
      'learningRate',
      'weightDecay',
    ])
    expect(optimizer.epsilon).toBe(1e-6)
    expect(tensors.get('input.noise')!.shape[2]).toBe(16)
  }))

it('takes another layer norm epsilon from the file', () =>
  scope(() => expect(read('mae-patch14-epsilon').dimensions.layerNormEpsilon).toBe(1e-5)))
