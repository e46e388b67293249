// How numbers are compared, by hand; and the bounds of every page, for every expectation of its files.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { type Bound, compare } from '../../src/verify/check.ts'
import { boundOf, type Page } from '../../src/verify/tolerances.ts'

const row = (data: number[]) => ({ data, shape: [data.length] })

describe('compare', () => {
  // One number of three is off by 0.5.
  const expected = [1, -20, 0.25]
  const off = [1, -20.5, 0.25]
  it.each<[string, Bound, number, number, boolean]>([
    ['a tolerance', { tolerance: 0.5 }, 0.5, 0.5, true],
    ['a tolerance', { tolerance: 0.4 }, 0.5, 0.4, false],
    ['shares', { tolerance: 0.025, times: 'each' }, 0.025, 0.025, true],
    ['shares of large numbers', { tolerance: 0.02, times: 'large' }, 0.025, 0.02, false],
    ['shares of the greatest', { tolerance: 0.025, times: 'greatest' }, 0.5, 0.5, true],
    ['shares of the greatest', { tolerance: 0.02, times: 'greatest' }, 0.5, 0.4, false],
    ['a mean, too', { tolerance: 1, mean: 0.2 }, 0.5 / 3, 0.2, true], // the nearer to its bound,
    ['a mean, too', { tolerance: 1, mean: 0.1 }, 0.5 / 3, 0.1, false],
    ['keys', { tolerance: 0.1, keys: 0.6 }, 0.5, 0.6, true],
    ['keys', { tolerance: 0.1, keys: 0.4 }, 0.5, 0.4, false],
  ])('%s: %j', (_, bound, largestDifference, tolerance, passed) => {
    const check = compare('x', off, row(expected), bound)
    expect(check.largestDifference).toBeCloseTo(largestDifference, 12)
    expect(check.tolerance).toBeCloseTo(tolerance, 12)
    expect(check.passed).toBe(passed)
    const near =
      bound.mean === 0.1 ? /^3 numbers differ by 0.16\d+ on average$/ : /at \[1\]: -20.5, expected -20$/
    if (!passed) expect(check.wrong).toMatch(near)
  })

  it('keys are the middle third, of which the rest is not loosened', () => {
    const bound = { tolerance: 0.1, keys: 1 }
    const passed = (at: number) =>
      compare(
        'x',
        [0, 0, 0, 0, 0, 0].map((x, i) => (i === at ? 0.5 : x)),
        row([0, 0, 0, 0, 0, 0]),
        bound,
      ).passed
    expect([0, 1, 2, 3, 4, 5].map(passed)).toEqual([false, false, true, true, false, false])
  })

  it('small numbers do not tighten a bound, and what is not finite does not widen one', () => {
    const small = (times: Bound['times'] & string) =>
      compare('x', [0.26], row([0.25]), { tolerance: 0.02, times })
    expect([small('large').passed, small('greatest').passed, small('each').passed]).toEqual([
      true,
      true,
      false,
    ])
    const infinite = [Number.POSITIVE_INFINITY, 1]
    expect(compare('x', infinite, row(infinite), { tolerance: 0 }).passed).toBe(true)
    for (const times of ['greatest', 'large', 'each'] as const)
      for (const wanted of [Number.POSITIVE_INFINITY, Number.NaN])
        expect(compare('x', [wanted, 2], row([wanted, 1]), { tolerance: 0.1, times }).passed).toBe(false)
    expect(compare('x', [1], row([Number.NaN]), { tolerance: 1, times: 'greatest' }).passed).toBe(false)
  })
})

describe('boundOf', () => {
  const facts = { rates: [1e-3, 2e-3], greatestGradient: 5 }
  const qkv = 'blocks.0.attn.qkv.bias'
  it.each<[Page, string, Bound]>([
    ['mae', `final.${qkv}`, { tolerance: 2e-3 }],
    ['mae', `grad.${qkv}`, { tolerance: 1e-6 }],
    ['targets', 'losses', { tolerance: 1e-5, times: 'large' }],
    ['targets', 'grad.head.weight', { tolerance: 1e-5, times: 'greatest' }],
    ['targets', 'finalTeacher.norm.bias', { tolerance: 1e-3, mean: 2e-6 }],
    ['targets', `finalTeacher.${qkv}`, { tolerance: 5e-3 }],
    ['targets', 'final.decoder_blocks.1.cross_attn.kv.bias', { tolerance: 5e-3 }],
    ['targets', 'finalState.codebook', { tolerance: 2e-5 }],
    ['targets', 'out.mask', { tolerance: 0 }],
    ['selfDistillation', `finalTeacher.backbone.${qkv}`, { tolerance: 2e-5, keys: 6e-3 }],
    ['selfDistillation', 'final.backbone.norm.bias', { tolerance: 2e-5 }],
    ['contrastiveBatchNorm', 'final.base_encoder.norm.bias', { tolerance: 6e-3 }],
    ['contrastiveBatchNorm', 'final.base_encoder.blocks.0.norm1.bias', { tolerance: 2e-5 }],
    ['contrastiveBatchNorm', 'finalState.base_encoder.head.1.running_mean', { tolerance: 5e-3 }],
    ['contrastiveBatchNorm', 'finalState.base_encoder.head.4.running_mean', { tolerance: 2e-5 }],
    ['contrastiveBatchNorm', 'finalState.predictor.1.running_mean', { tolerance: 2e-5 }],
    ['contrastiveLars', `final.backbone.${qkv}`, { tolerance: 2e-4 }],
    ['videoAudio', 'out.target', { tolerance: 1e-4 }],
    ['videoAudio', `final.encoder.${qkv}`, { tolerance: 1e-4, keys: 2e-3 }],
    ['videoAudio', 'final.blocks.0.attn.k.bias', { tolerance: 2e-3 }],
    ['videoAudio', 'final.blocks.0.attn.q.bias', { tolerance: 1e-4 }],
    ['distillation', 'grad.norm.weight', { tolerance: 1e-5 + 1.5e-5 }],
    ['distillation', 'finalState.teacher_queue', { tolerance: 1e-6 }],
    ['crossModal', 'final.output_adapters.rgb.decoder.kv.bias', { tolerance: 1e-2 }],
    ['crossModal', 'out.mask.image', { tolerance: 0 }],
    ['operators', 'grad.koleo.small-norm.x', { tolerance: 1e-3 }],
    ['operators', 'grad.koleo.plain.x', { tolerance: 1e-5 }],
  ])('%s: %s', (page, name, bound) => expect(boundOf(page, name, facts)).toEqual(bound))

  it('what no page has is refused', () =>
    expect(() => boundOf('mae', 'finalState.x')).toThrow('no tolerance is known of "finalState.x"'))

  const folder = join(packageRoot(), '../shared/reference')
  const files: [string, Page][] = [
    ...[
      'beit-perblock',
      'beit-shared',
      'beitv2-cls',
      'crossmae-wfm',
      'data2vec-vision',
      'ijepa-multiblock',
    ].map((name): [string, Page] => [`targets/${name}`, 'targets']),
    ...['maskfeat-vit', 'simmim-vit', 'vqkd-tokenizer'].map((name): [string, Page] => [
      `targets/${name}`,
      'targets',
    ]),
    ...[
      'dino-multicrop',
      'dinov2-center-mlp',
      'dinov2-sinkhorn-registers',
      'ibot-shared',
      'simclr-plain',
    ].map((name): [string, Page] => [`self-distillation/${name}`, 'selfDistillation']),
    ['self-distillation/mocov3-frozen-projection', 'contrastiveBatchNorm'],
    ['self-distillation/simclr-batchnorm-lars', 'contrastiveLars'],
    ...['audiomae-global', 'audiomae-window', 'cav-mae', 'mae-st', 'videomae-tube', 'videomae2-dual'].map(
      (name): [string, Page] => [`video-audio/${name}`, 'videoAudio'],
    ),
    ...['distillation-v1', 'distillation-v3', 'dmae-linear', 'frozen-teacher-losses', 'tinymim-base'].map(
      (name): [string, Page] => [`distillation/${name}`, 'distillation'],
    ),
    ...['m3ae-pairs', 'multimae-three'].map((name): [string, Page] => [`cross-modal/${name}`, 'crossModal']),
  ]
  it.skipIf(!existsSync(folder)).each(files)('%s: every expectation has a bound of %s', (name, page) => {
    const { tensors } = readArrays(join(folder, `${name}.safetensors`))
    const expected = [...tensors.keys()].filter((each) => each.startsWith('expected.'))
    expect(expected.length).toBeGreaterThan(5)
    for (const each of expected)
      expect(boundOf(page, each.slice('expected.'.length), facts).tolerance).toBeLessThan(0.03)
  })
})
