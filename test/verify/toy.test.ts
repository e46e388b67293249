// Networks with averages, state, parts and schedules: the toy objective against numbers of an independent PyTorch
// (scripts/reference/make_toy.py), then copies with something wrong for every kind of check.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { narrow } from '../../src/tensor/ops.ts'
import { liveTensors, scope } from '../../src/tensor/scope.ts'
import { fromArray, type Tensor, tensor, toArray } from '../../src/tensor/tensor.ts'
import type { Check } from '../../src/verify/check.ts'
import { checkNetwork } from '../../src/verify/network.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'
import { numbers } from '../tolerance.ts'
import { toyRow } from './toy-row.ts'

const toy = join(packageRoot(), 'test/reference/objectives/toy.safetensors')
const check = (file: string) => checkNetwork(toyRow, file, 'cpu')
const failed = (file: string) => check(file).checks.flatMap(({ name, passed }) => (passed ? [] : [name]))

/** A copy with something changed. */
function changed(change: (tensors: Map<string, Tensor>, metadata: Record<string, string>) => void): string {
  const path = join(temporaryFolder(), 'changed.safetensors')
  scope(() => {
    const { tensors, metadata } = readSafetensors(toy)
    const own = { ...metadata }
    change(tensors, own)
    writeSafetensors(path, tensors, own)
  })
  return path
}
const nudged = (name: string, by: number, at = 0) =>
  changed((tensors) => {
    const x = tensors.get(name)!
    if (x.dtype === 'int64') {
      const values = BigInt64Array.from(toArray(x) as BigInt64Array)
      values[at]! += BigInt(by)
      tensors.set(name, fromArray(values, x.shape, 'int64'))
    } else {
      const values = numbers(x)
      values[at]! += by
      tensors.set(name, tensor(values, x.shape))
    }
  })
const metadata = (key: 'config' | 'optimizer', change: object) =>
  changed((_, own) => {
    own[key] = JSON.stringify({ ...(JSON.parse(own[key]!) as object), ...change })
  })

describe('toy.safetensors', () => {
  it('everything in it, whole and in micro-batches, and nothing stays in memory', () => {
    check(toy)
    const before = liveTensors()
    const { checks, notSupported } = check(toy)
    expect(checks.filter(({ passed }) => !passed)).toEqual([])
    expect(notSupported).toEqual([])
    expect(liveTensors()).toBe(before)
    const expected = scope(() =>
      [...readSafetensors(toy).tensors.keys()].flatMap((name) =>
        name.startsWith('expected.') ? [name.slice('expected.'.length)] : [],
      ),
    )
    const again = expected.filter((name) => !name.startsWith('out.')).map((name) => `microBatches.${name}`)
    expect(checks.map(({ name }) => name).sort()).toEqual([...expected, ...again].sort())
  })

  it('with the tolerances of self-distillation, wider where Adam moves by noise', () => {
    const of = (name: string) => check(toy).checks.find((each: Check) => each.name === name)!.tolerance
    expect(
      ['loss', 'part.teacher', 'out.one', 'out.codes', 'grad.cls_token', 'final.cls_token'].map(of),
    ).toEqual([1e-5, 1e-5, 1e-5, 0, 5e-5, 2e-5])
  })
})

describe('a wrong number fails, and is named', () => {
  it.each<[string, number, number?]>([
    ['loss', 4e-5],
    ['losses', 4e-5, 3],
    ['part.contrast', 4e-5, 2],
    ['part.commitment', 4e-5],
    ['out.keyOne', 4e-5],
    ['out.codes', 1],
    ['grad.projector.weight', 2e-4],
    ['grad.predictor.bias', 2e-4], // before it is dropped, since it is frozen
    ['final.blocks.0.mlp.fc1.weight', 6e-5],
    ['final.blocks.0.attn.qkv.bias', 6e-5],
    ['final.idle.weight', 6e-5],
    ['finalTeacher.momentum.projector.bias', 6e-5],
    ['finalTeacher.norm.weight', 6e-5],
    ['finalState.running.variance', 6e-5],
    ['finalState.codebook', 6e-5],
  ])('%s', (name, by, at) => {
    const again = name.startsWith('out.') ? [] : [`microBatches.${name}`]
    expect(failed(nudged(`expected.${name}`, by, at))).toEqual([name, ...again])
    expect(failed(nudged(`expected.${name}`, by === 1 ? 0 : by / 1000, at))).toEqual([])
  })

  it('the key third of a bias may be off by what Adam makes of noise', () => {
    const key = 'expected.final.blocks.0.attn.qkv.bias'
    expect(failed(nudged(key, 4e-3, 12))).toEqual([])
    expect(failed(nudged(key, 4e-3, 11))).toHaveLength(2)
    expect(failed(nudged(key, 4e-3, 24))).toHaveLength(2)
    expect(failed(nudged(key, 1.2e-2, 23))).toHaveLength(2) // 2 · (5 + 10 + 20 + 10)e-4 = 9e-3
  })

  it('a gradient where the file has none, and none where it has one', () => {
    expect(failed(changed((tensors) => tensors.delete('expected.grad.cls_token')))).toEqual([
      'grad.cls_token',
      'microBatches.grad.cls_token',
    ])
    const file = changed((tensors) =>
      tensors.set('expected.grad.idle.weight', tensor([0, 1e-4, 0, 0], [2, 2])),
    )
    expect(failed(file)).toEqual(['grad.idle.weight', 'microBatches.grad.idle.weight'])
  })

  it('a gradient that is not reached may be stored as zeros', () =>
    expect(
      failed(changed((tensors) => tensors.set('expected.grad.idle.weight', tensor([0, 0, 0, 0], [2, 2])))),
    ).toEqual([]))
})

describe('a step that is taken otherwise fails', () => {
  const kinds = (file: string) => [
    ...new Set(failed(file).map((name) => name.replace(/^microBatches\./, '').split('.')[0])),
  ]
  const late = ['part', 'losses', 'final', 'finalTeacher', 'finalState']
  it.each<[string, string[], () => string]>([
    [
      'the momentum of the first step',
      ['out'],
      () => metadata('config', { momentum: [0.6, 0.6, 0.8, 0.95] }),
    ],
    [
      'the momentum of the last step',
      ['finalTeacher'],
      () => metadata('config', { momentum: [0.5, 0.6, 0.8, 0.9] }),
    ],
    [
      'the rate of the third step',
      late,
      () => metadata('optimizer', { learningRate: [5e-4, 1e-3, 1e-3, 1e-3] }),
    ],
    ['a decay', ['final'], () => metadata('optimizer', { weightDecay: [0.05, 0.1, 0.3, 0.4] })],
    ['what does not decay', ['final'], () => metadata('optimizer', { noDecay: [] })],
    ['that all decays', ['final'], () => metadata('optimizer', { decay: 'all' })],
    ['the clipping', late, () => metadata('optimizer', { clipNorm: 0.1 })],
    ['the optimizer', late, () => metadata('optimizer', { name: 'adam', weightDecay: 0.5 })],
    ['a teacher', ['part', 'finalTeacher'], () => nudged('teacher.cls_token', 0.5)],
    ['a momentum encoder', ['out', 'finalTeacher'], () => nudged('teacher.momentum.projector.bias', 0.5)],
    ['a state', ['finalState'], () => nudged('state.running.mean', 0.1)],
    ['a parameter that is fixed', ['part', 'grad'], () => nudged('weights.random.weight', 1)],
    ['the plan of a step', ['losses'], () => nudged('input.factors', 0.2, 13)],
  ])('%s', (_, expected, make) => expect(kinds(make())).toEqual(expect.arrayContaining(expected)))
})

describe('a file that does not fit says why', () => {
  it.each<[string, RegExp, () => string]>([
    [
      'no teacher',
      /it has no tensor "teacher.norm.bias"/,
      () => changed((all) => all.delete('teacher.norm.bias')),
    ],
    [
      'no state',
      /it has no tensor "expected.finalState.codebook"/,
      () => changed((all) => all.delete('expected.finalState.codebook')),
    ],
    [
      'a teacher too many',
      /that the model does not know: "teacher.x"/,
      () => changed((all) => all.set('teacher.x', tensor([1], [1]))),
    ],
    [
      'a state too many',
      /does not know: "state.x"/,
      () => changed((all) => all.set('state.x', tensor([1], [1]))),
    ],
    [
      'no output',
      /it has no tensor "expected.out.one"/,
      () => changed((all) => all.delete('expected.out.one')),
    ],
    [
      'a part that there is not',
      /belongs to nothing: "expected.part.x"/,
      () => changed((all) => all.set('expected.part.x', tensor([1], []))),
    ],
    [
      'a part that is not stated',
      /it has no tensor "expected.part.teacher"/,
      () => changed((all) => all.delete('expected.part.teacher')),
    ],
    [
      'too few rates',
      /optimizer.learningRate: expected a number for each of 4 steps, got 2/,
      () => metadata('optimizer', { learningRate: [1, 1] }),
    ],
    [
      'too few momenta',
      /momentum: expected a number for each of 4 steps, got 1/,
      () => metadata('config', { momentum: [1] }),
    ],
    ['another optimizer', /"optimizer" does not fit/, () => metadata('optimizer', { name: 'lion' })],
    [
      'an input that is not a number',
      /its step 1 gave loss .*first: the first value of codebook/,
      () => nudged('input.views', Number.NaN),
    ],
    [
      'fewer samples than others have',
      /input.factors: expected 6 samples, got \[4, 5, 1\]/,
      () => changed((all) => all.set('input.factors', narrow(all.get('input.factors')!, 1, 0, 5))),
    ],
    [
      'micro-batches of parts',
      /6 samples do not make 4 equal micro-batches/,
      () => metadata('config', { microBatches: 4 }),
    ],
    ['no steps', /it has no tensor "expected.losses"/, () => changed((all) => all.delete('expected.losses'))],
  ])('%s', (_, message, make) => expect(() => check(make())).toThrow(message))

  it('an output that this version does not compute is not supported yet', () => {
    const { checks, notSupported } = check(changed((all) => all.set('expected.out.more', tensor([1], [1]))))
    expect(notSupported).toEqual(['output "more"'])
    expect(checks.every(({ passed }) => passed)).toBe(true)
  })
})
