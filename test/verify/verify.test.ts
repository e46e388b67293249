import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { largestDifference } from '../../src/checkpoint/arrays.ts'
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { narrow, reshape, toDtype } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import type { Check } from '../../src/verify/check.ts'
import { verifyFile } from '../../src/verify/verify.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'

const filesIn = (dir: string) =>
  existsSync(dir)
    ? readdirSync(dir)
        .filter((name) => name.endsWith('.safetensors'))
        .map((name) => join(dir, name))
    : []
const own = filesIn(join(packageRoot(), 'test/reference'))
const shared = filesIn(join(packageRoot(), '../shared/reference'))
const small = own.find((path) => path.includes('patch14'))!

const failed = (checks: readonly Check[]) => checks.filter(({ passed }) => !passed).map(({ name }) => name)

describe('reference files', () => {
  it('are there', () => expect(own.length).toBeGreaterThanOrEqual(3))

  it.each([...own, ...shared])('%s', (file) => {
    const before = liveTensors()
    const { checks, passed } = verifyFile(file)
    expect(failed(checks)).toEqual([])
    expect(passed).toBe(true)
    expect(liveTensors() - before).toBeLessThan(1000) // what outlives is weights, for the garbage collector

    // Everything that the file expects was looked at, with the tolerances of the format.
    const expected = scope(() =>
      [...readSafetensors(file).tensors.keys()].flatMap((name) =>
        name.startsWith('expected.') ? [name.slice('expected.'.length)] : [],
      ),
    )
    expect(checks.map(({ name }) => name).sort()).toEqual(expected.sort())
    for (const { name, tolerance } of checks) {
      const kind = name.split('.')[0]!
      const final = name.endsWith('attn.qkv.bias') ? 2e-3 : 2e-4
      const tolerances: Record<string, number> = { mask: 0, grad: 1e-6, final }
      expect([name, tolerance]).toEqual([name, tolerances[kind] ?? 1e-5])
    }
  })
})

/** A copy of the small reference file with something changed. */
function changed(change: (tensors: Map<string, Tensor>, metadata: Record<string, string>) => void): string {
  const path = join(temporaryFolder(), 'changed.safetensors')
  scope(() => {
    const { tensors, metadata } = readSafetensors(small)
    const own = { ...metadata }
    change(tensors, own)
    writeSafetensors(path, tensors, own)
  })
  return path
}
const nudge = (name: string, by: number) => (tensors: Map<string, Tensor>) => {
  const x = tensors.get(name)!
  const values = numbers(x)
  values[values.length >> 1]! += by
  tensors.set(name, tensor(values, x.shape))
}

describe('a wrong number fails, and is named', () => {
  it.each([
    ['loss', 2e-5],
    ['pred', 2e-5],
    ['mask', 1],
    ['latent', 2e-5],
    ['losses', 2e-5],
    ['grad.blocks.0.mlp.fc1.weight', 2e-6],
    ['grad.mask_token', 2e-6],
    ['final.patch_embed.proj.bias', 4e-4],
    ['final.decoder_blocks.1.attn.qkv.bias', 4e-3],
    ['pred', Number.NaN],
  ])('%s, off by %d', (name, by) => {
    const { checks, passed } = verifyFile(changed(nudge(`expected.${name}`, by)))
    expect([failed(checks), passed]).toEqual([[name], false])
    const { largestDifference: found, wrong } = checks.find((check) => check.name === name)!
    expect(wrong).toMatch(/^1 of \d+ numbers, the first at \[[\d, ]*\]: \S+, expected \S+$/)
    if (Number.isNaN(by)) expect(found).toBe(Number.POSITIVE_INFINITY)
    else expect(Math.abs(found - by)).toBeLessThan(by / 2)
  })

  it.each([
    ['expected.loss', 4e-6],
    ['expected.grad.mask_token', 4e-7],
    ['expected.final.cls_token', 1e-4],
  ])('%s, off by only %d, passes', (name, by) =>
    expect(verifyFile(changed(nudge(name, by))).passed).toBe(true),
  )

  it('one weight, off by a tenth', () => {
    const { checks } = verifyFile(changed(nudge('weights.patch_embed.proj.weight', 0.1)))
    expect(failed(checks)).toEqual(
      expect.arrayContaining(['pred', 'latent', 'loss', 'losses', 'grad.cls_token']),
    )
    expect(failed(checks)).not.toContain('mask')
  })

  it('another learning rate: only what comes after the first step', () => {
    const { checks } = verifyFile(
      changed((_, metadata) => {
        const optimizer = JSON.parse(metadata.optimizer!) as { learningRate: number }
        metadata.optimizer = JSON.stringify({ ...optimizer, learningRate: optimizer.learningRate * 1.5 })
      }),
    )
    expect(failed(checks)).toContain('losses')
    expect(failed(checks)).toContain('final.norm.weight')
    expect(failed(checks).filter((name) => /^(loss|pred|mask|latent|grad\..*)$/.test(name))).toEqual([])
  })

  it.each([
    ['normalizeTarget', false, ['loss']],
    ['layerNormEpsilon', 1e-3, ['pred', 'latent']],
    ['maskRatio', 0.75, ['mask', 'latent']],
  ])('another %s', (key, value, names) => {
    const file = changed((_, metadata) => {
      metadata.config = JSON.stringify({ ...(JSON.parse(metadata.config!) as object), [key]: value })
    })
    expect(failed(verifyFile(file).checks)).toEqual(expect.arrayContaining(names))
  })

  it('an expectation of another length is infinitely far', () => {
    const { checks } = verifyFile(
      changed((tensors) => tensors.set('expected.mask', narrow(tensors.get('expected.mask')!, 1, 0, 3))),
    )
    const { largestDifference: found, wrong } = checks.find(({ name }) => name === 'mask')!
    expect([found, wrong]).toEqual([Number.POSITIVE_INFINITY, '8 numbers, expected 6 of shape [2, 3]'])
    expect(failed(checks)).toEqual(['mask'])
  })
})

describe('a file of another version is not supported yet', () => {
  it.each([
    [{ objective: 'ibot' }, 'objective "ibot"'],
    [{ objective: 'toString' }, 'objective "toString"'],
    [{ format: 'sherd-reference/3' }, 'format "sherd-reference/3"'],
    [{ format: 'sherd-layout/1' }, 'format "sherd-layout/1"'],
  ])('%j', (change, what) => {
    const file = changed((_, metadata) => void Object.assign(metadata, change))
    expect(verifyFile(file)).toEqual({ file, checks: [], notSupported: [what], passed: false })
  })
})

describe('a file that cannot be checked says why', () => {
  const metadata = (change: Record<string, string>) => changed((_, own) => void Object.assign(own, change))
  const without = (key: string) =>
    changed((_, own) => {
      delete own[key]
    })
  const configured = (change: object) =>
    changed((_, own) => {
      own.config = JSON.stringify({ ...(JSON.parse(own.config!) as object), ...change })
    })
  const tensors = (change: (tensors: Map<string, Tensor>) => void) => changed(change)
  const set = (name: string, make: (x: Tensor) => Tensor) =>
    tensors((all) => void all.set(name, make(all.get(name)!)))

  it.each<[string, RegExp, () => string]>([
    ['no format', /its format is not stated, expected "sherd-reference\/1" or/, () => without('format')],
    ['another format', /its format is "pt", expected "sherd-reference\/1"/, () => metadata({ format: 'pt' })],
    ['no configuration', /its metadata "config" does not fit/, () => without('config')],
    [
      'a configuration that is no JSON',
      /its metadata "config" does not fit/,
      () => metadata({ config: '{' }),
    ],
    ['a patch of 0', /"config" does not fit.*patchSize/s, () => configured({ patchSize: 0 })],
    ['a ratio of 1', /"config" does not fit.*maskRatio/s, () => configured({ maskRatio: 1 })],
    ['a key that is unknown', /"config" does not fit.*dropPath/s, () => configured({ dropPath: 0.1 })],
    [
      'heads that do not divide',
      /model.width 16 is not divisible by model.heads 3/,
      () => configured({ heads: 3 }),
    ],
    ['no optimizer', /its metadata "optimizer" does not fit/, () => without('optimizer')],
    [
      'half an optimizer',
      /"optimizer" does not fit.*beta1/s,
      () => metadata({ optimizer: '{"learningRate":1}' }),
    ],
    ['no objective', /its objective is not stated/, () => without('objective')],
    [
      'no weight',
      /it has no tensor "weights.cls_token"/,
      () => tensors((all) => void all.delete('weights.cls_token')),
    ],
    [
      'no expectation',
      /it has no tensor "expected.pred"/,
      () => tensors((all) => void all.delete('expected.pred')),
    ],
    ['no images', /it has no tensor "input.images"/, () => tensors((all) => void all.delete('input.images'))],
    [
      'a weight too many',
      /a weight that the model does not know: "weights.x"/,
      () => tensors((all) => void all.set('weights.x', tensor([1], [1]))),
    ],
    [
      'a weight of another shape',
      /cls_token: expected float32\[1, 1, 16\], got float32\[16\]/,
      () => set('weights.cls_token', (x) => reshape(x, [16])),
    ],
    [
      'a weight of another type',
      /cls_token: .*got float64/,
      () => set('weights.cls_token', (x) => toDtype(x, 'float64')),
    ],
    ['images of another size', /: images: expected/, () => set('input.images', (x) => narrow(x, 2, 0, 14))],
    [
      'noise without steps',
      /planFromNoise: noise: expected \[B, N\]/,
      () => set('input.noise', (x) => reshape(x, [x.shape[0]!, -1])),
    ],
    ['noise of no steps', /cannot be checked/, () => set('input.noise', (x) => narrow(x, 0, 0, 0))],
    [
      'expectations as integers',
      /expected float32, got int32/,
      () => set('expected.losses', () => fromArray(new Int32Array(10), [10], 'int32')),
    ],
  ])('%s', (_, pattern, make) => {
    const file = make()
    expect(() => verifyFile(file)).toThrow(
      expect.objectContaining({ code: 'VALUE', message: expect.stringMatching(pattern) }),
    )
    expect(() => verifyFile(file)).toThrow(file)
  })

  it.each<[string, object, RegExp]>([
    ['blocks', { depth: 1e7 }, /depth/],
    ['width', { width: 1e9 }, /width/],
    ['image', { imageSize: [60_000, 60_000] }, /imageSize/],
    ['tokens', { imageSize: [16_384, 16_384], patchSize: 2 }, /67108864 tokens.*at most 65536/],
    ['shapes', { depth: 512 }, /it has no tensor "weights\.blocks\.1\.norm1\.weight"/],
  ])('more %s than it holds', (_, change, message) =>
    expect(() => verifyFile(configured(change))).toThrow(message),
  )

  it('no safetensors', () =>
    expect(() => verifyFile(join(temporaryFolder({ x: 'text' }), 'x'))).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT' }),
    ))
})

describe('largestDifference', () => {
  it.each([
    [[1, 2, 3], [1, 2.5, 2], 1],
    [[], [], 0],
    [[1], [1, 1], Number.POSITIVE_INFINITY],
    [[Number.NaN, 1], [0, 1], Number.POSITIVE_INFINITY],
    [[1, Number.NaN, 5], [1, Number.NaN, 1], Number.POSITIVE_INFINITY],
    [[Number.POSITIVE_INFINITY], [1], Number.POSITIVE_INFINITY],
  ])('of %j and %j is %d', (a, b, expected) => expect(largestDifference(a, b)).toBe(expected))
})
