import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scope } from '../../src/tensor/scope.ts'
import { readReference } from '../../src/verify/reference.ts'
import { verifyFile } from '../../src/verify/verify.ts'

const work = mkdtempSync(join(tmpdir(), 'sherd-reference-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const read = (name: string) => readReference(join(packageRoot(), 'test/reference', `${name}.safetensors`))

it('reads dimensions, options and optimizer as the script that made the file set them', () =>
  scope(() => {
    const { objective, dimensions, decoder, maskRatio, normalizeTarget, optimizer, tensors } =
      read('mae-4ch-raw')
    expect(objective).toBe('mae')
    expect(dimensions).toEqual({
      imageSize: [8, 8],
      patchSize: 2,
      channels: 4,
      width: 32,
      depth: 2,
      heads: 4,
      mlpRatio: 2,
      layerNormEpsilon: 1e-6, // not in the file
    })
    expect(decoder).toEqual({ width: 20, depth: 1, heads: 2, groupWidth: 0, timeWidth: 0 })
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

it.each<[string, object, RegExp]>([
  ['blocks', { depth: 1e7 }, /depth/],
  ['width', { width: 1e9 }, /width/],
  ['image', { imageSize: [60_000, 60_000] }, /imageSize/],
  ['tokens', { imageSize: [16_384, 16_384] }, /67108864 tokens.*at most 65536/],
  ['shapes', { depth: 512 }, /it has no tensor "weights\.blocks\.2\.norm1\.weight"/],
])('a file that says something else than it holds is refused: %s', (name, change, message) => {
  const { metadata, tensors } = readArrays(join(packageRoot(), 'test/reference/mae-4ch-raw.safetensors'))
  const path = join(work, `${name}.safetensors`)
  const config = JSON.stringify({ ...JSON.parse(metadata.config!), ...change })
  writeSafetensors(path, tensors, { ...metadata, config })
  expect(() => verifyFile(path)).toThrow(message)
})
