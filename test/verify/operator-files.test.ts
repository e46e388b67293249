// Files of operators: those of Pillow, torchvision and the methods' own schedules; then small ones made here, with something wrong.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StoredArray } from '../../src/checkpoint/arrays.ts'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { referenceFiles } from '../../src/verify/reference-files.ts'
import { verifyFile } from '../../src/verify/verify.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const folder = join(packageRoot(), '../shared/reference/self-distillation')

describe.skipIf(!existsSync(folder))('shared reference files (skipped where ../shared is not)', () => {
  it.each([
    ['augment', (name: string) => (name.includes('blurTorchvision') ? 1 : 0), false],
    ['schedules', () => 1e-6, true],
    ['../targets/hog', () => 2e-5, false],
  ] as const)('%s: every case, with its tolerance', (name, toleranceOf, isRelative) => {
    const file = join(folder, `${name}.safetensors`)
    const { checks, notSupported, passed } = verifyFile(file)
    expect(checks.filter((check) => !check.passed)).toEqual([])
    expect([notSupported, passed]).toEqual([[], true])
    const expected = [...readArrays(file).tensors.keys()].filter((key) => key.startsWith('expected.'))
    expect(checks.map((check) => `expected.${check.name}`).sort()).toEqual(expected.sort())
    for (const check of checks)
      expect([check.name, check.tolerance, check.isRelative]).toEqual([
        check.name,
        toleranceOf(check.name),
        isRelative,
      ])
  })
})

type Arrays = Record<string, StoredArray>
const bytes = (data: number[], shape: number[]): StoredArray => ({
  dtype: 'uint8',
  shape,
  data: Uint8Array.from(data),
})
const floats = (data: number[]): StoredArray => ({
  dtype: 'float32',
  shape: [data.length],
  data: Float32Array.from(data),
})

function made(objective: string, cases: unknown, tensors: Arrays): string {
  const path = join(temporaryFolder(), 'made.safetensors')
  const metadata = { format: 'sherd-reference/2', objective, config: JSON.stringify({ cases }) }
  writeSafetensors(path, new Map(Object.entries(tensors)), metadata)
  return path
}

describe('augment', () => {
  // Two pixels, mirrored and inverted: solarise from 0 on is 255 − x.
  const steps = [{ operator: 'flip' }, { operator: 'solarise', threshold: 0 }]
  const tensors = {
    'input.image.a': bytes([1, 2, 3, 40, 50, 60], [1, 2, 3]),
    'expected.out.x.y': bytes([215, 205, 195, 254, 253, 252], [1, 2, 3]),
  }
  const cases = { 'x.y': { image: 'a', steps } }

  it('passes, byte for byte', () => {
    const file = made('augment', cases, tensors)
    const check = { name: 'out.x.y', largestDifference: 0, tolerance: 0, isRelative: false }
    expect(verifyFile(file)).toEqual({
      ...{ file, notSupported: [], passed: true },
      checks: [{ ...check, passed: true, wrong: null }],
    })
  })

  it('finds a wrong byte, and says which', () => {
    const wrong = bytes([215, 205, 195, 254, 252, 252], [1, 2, 3])
    const { checks, passed } = verifyFile(made('augment', cases, { ...tensors, 'expected.out.x.y': wrong }))
    expect(passed).toBe(false)
    expect(checks).toMatchObject([
      {
        ...{ name: 'out.x.y', largestDifference: 1, passed: false },
        wrong: '1 of 6 numbers, the first at [0, 1, 1]: 253, expected 252',
      },
    ])
  })

  it('allows one level only where torchvision blurs, which rounds in float32', () => {
    const step = { operator: 'blurTorchvision', kernelSize: [3, 1], sigma: 1 }
    const off = (by: number) =>
      made(
        'augment',
        { blur: { image: 'a', steps: [step] } },
        {
          'input.image.a': bytes(
            Array.from({ length: 9 }, () => 100),
            [1, 3, 3],
          ),
          'expected.out.blur': bytes([100 + by, ...Array.from({ length: 8 }, () => 100)], [1, 3, 3]),
        },
      )
    expect([0, 1, 2].map((by) => verifyFile(off(by)).passed)).toEqual([true, true, false])
  })

  it('tells an operator that it does not have, and compares the other cases', () => {
    const other = { image: 'a', steps: [{ operator: 'flip' }, { operator: 'equalise', bins: 3 }] }
    const file = made(
      'augment',
      { ...cases, other },
      { ...tensors, 'expected.out.other': tensors['input.image.a'] },
    )
    const { checks, notSupported, passed } = verifyFile(file)
    expect(checks.map(({ name, passed }) => [name, passed])).toEqual([['out.x.y', true]])
    expect([notSupported, passed]).toEqual([['case "other": operator "equalise"'], false])
  })

  const withSteps = (...all: object[]) => made('augment', { 'x.y': { image: 'a', steps: all } }, tensors)
  it.each<[string, RegExp, () => string]>([
    ['no cases', /it has no cases/, () => made('augment', {}, {})],
    ['no steps', /its case "x.y" does not fit/, () => withSteps()],
    ['an option missing', /case "x.y, hue" does not fit/, () => withSteps({ operator: 'hue' })],
    [
      'an option too many',
      /case "x.y, flip" does not fit.*"by"/s,
      () => withSteps({ operator: 'flip', by: 1 }),
    ],
    [
      'a box outside of the image',
      /resizedCrop: expected a box within 1 × 2 .*, got rows 0 to 1, columns 1 to 3/,
      () => withSteps({ operator: 'resizedCrop', box: [0, 1, 1, 2], size: [1, 1] }),
    ],
    [
      'a kernel wider than the mirrored image',
      /kernel of 5 × 1 .*expected at most 3 × 1/,
      () => withSteps({ operator: 'blurTorchvision', kernelSize: [5, 1], sigma: 1 }),
    ],
    [
      'another size than expected',
      /expected.out.x.y: its steps give \[2, 2, 3\], got \[1, 2, 3\]/,
      () => withSteps({ operator: 'resizedCrop', box: [0, 0, 1, 2], size: [2, 2] }),
    ],
    [
      'no image',
      /it has no tensor "input.image.b"/,
      () => made('augment', { 'x.y': { image: 'b', steps } }, tensors),
    ],
    [
      'an image of one channel',
      /input.image.a: expected \[height, width, 3\], got \[1, 2\]/,
      () => made('augment', cases, { ...tensors, 'input.image.a': bytes([1, 2], [1, 2]) }),
    ],
    [
      'floats',
      /input.image.a: expected uint8, got float32/,
      () => made('augment', cases, { ...tensors, 'input.image.a': floats([1]) }),
    ],
    [
      'an output of no case',
      /belongs to no case: "expected.out.z"/,
      () => made('augment', cases, { ...tensors, 'expected.out.z': floats([1]) }),
    ],
  ])('refuses %s', (_, message, make) => {
    const file = make()
    expect(() => verifyFile(file)).toThrow(
      expect.objectContaining({ code: 'VALUE', message: expect.stringMatching(message) }),
    )
    expect(() => verifyFile(file)).toThrow(file)
  })
})

describe('schedules', () => {
  // Rate 1 (per 256 images, batch 256): warm-up 0, 1 in 2 steps of one epoch, then 1 and ½ of a cosine to 0 over 2 steps.
  const options = { learningRate: 1, batch: 256, epochs: 2, stepsPerEpoch: 2, warmupEpochs: 1 }
  const rates = { 'expected.out.dino.small.learningRate': floats([0, 1, 1, 0.5]) }
  const named = (name: string, more: object = {}) => ({ [name]: { ...options, ...more } })

  it('passes', () => expect(verifyFile(made('schedules', named('dino.small'), rates)).passed).toBe(true))

  it('finds a wrong number, and says which', () => {
    const { checks, passed } = verifyFile(
      made('schedules', named('dino.small'), {
        'expected.out.dino.small.learningRate': floats([0, 1, 1.25, 0.5]),
      }),
    )
    expect(passed).toBe(false)
    expect(checks).toMatchObject([
      {
        ...{ name: 'out.dino.small.learningRate', passed: false },
        wrong: '1 of 4 numbers, the first at [2]: 1, expected 1.25',
      },
    ])
    expect(checks[0]!.largestDifference).toBeCloseTo(0.2, 12) // of what was expected
  })

  it('a rate of 0 has no relative tolerance', () => {
    const tensors = { 'expected.out.dino.small.learningRate': floats([1e-30, 1, 1, 0.5]) }
    const { checks } = verifyFile(made('schedules', named('dino.small'), tensors))
    expect(checks).toMatchObject([{ largestDifference: 1, passed: false }])
  })

  it('momentum ends where the file says', () => {
    const momentum = { momentum: 0.5, finalMomentum: 0.75 }
    const tensors = {
      'expected.out.dinov2.momentum': floats([
        0.5,
        0.625 - 0.125 * Math.SQRT1_2,
        0.625,
        0.625 + 0.125 * Math.SQRT1_2,
      ]),
    }
    expect(verifyFile(made('schedules', named('dinov2', momentum), tensors)).passed).toBe(true)
  })

  it('tells a method and a column that it does not have', () => {
    const tensors = {
      ...rates,
      'expected.out.dino.small.jitter': floats([1]),
      'expected.out.swav.learningRate': floats([1]),
    }
    const file = made('schedules', { ...named('dino.small'), ...named('swav') }, tensors)
    const { checks, notSupported, passed } = verifyFile(file)
    expect(checks.map((check) => check.passed)).toEqual([true])
    expect(passed).toBe(false)
    expect(notSupported).toEqual(['case "dino.small": column "jitter"', 'case "swav": method "swav"'])
  })

  it.each<[string, RegExp, () => string]>([
    [
      'an option missing',
      /its case "dino" has no "weightDecay"/,
      () => made('schedules', named('dino'), { 'expected.out.dino.weightDecay': floats([1]) }),
    ],
    [
      'no column',
      /it has no tensor "expected.out.mae.…"/,
      () => made('schedules', { ...named('dino.small'), ...named('mae') }, rates),
    ],
    [
      'a column of no case',
      /belongs to no case: "expected.out.dino.small.learningRate"/,
      () => made('schedules', named('mae'), { ...rates, 'expected.out.mae.learningRate': floats([1]) }),
    ],
    [
      'no batch',
      /its case "dino.small" does not fit.*batch/s,
      () => made('schedules', named('dino.small', { batch: 0 }), rates),
    ],
  ])('refuses %s', (_, message, make) => expect(() => verifyFile(make())).toThrow(message))
})

describe('operators on tensors', () => {
  // Equal pixels, so no gradient at all: a descriptor of zeros.
  const options = { patchSize: 2, cellSize: 2, bins: 1, gaussianWindow: 0 }
  const pixels = { ...floats([5, 5, 5, 5]), shape: [1, 1, 2, 2] }
  const hog = (expected: number, tensors: Arrays = {}) =>
    made(
      'hog',
      { flat: options },
      {
        'input.flat.images': pixels,
        'expected.out.flat': { ...floats([expected]), shape: [1, 1, 1] },
        ...tensors,
      },
    )

  it('passes', () => expect(verifyFile(hog(0)).passed).toBe(true))

  it('finds a wrong number', () => {
    const { checks, passed } = verifyFile(hog(1e-4))
    expect([checks.map(({ name }) => name), passed]).toEqual([['out.flat'], false])
  })

  it('compares gradients, too: of the output weighted by a probe', () => {
    // One place becomes two, which both repeat it: its gradient is 3 + 40. The row before the grid stays.
    const options = { operator: 'positions', baseGrid: [1, 1], grid: [1, 2], offset: 0, antialias: false }
    const column = (data: number[]) => ({ ...floats(data), shape: [1, data.length, 1] })
    const positions = (gradient: number[], output = [7, 5, 5]) =>
      made(
        'self-distillation-operators',
        { 'p.x': options },
        {
          'input.p.x.table': column([7, 5]),
          'input.p.x.probe': column([2, 3, 40]),
          'expected.out.p.x': column(output),
          'expected.grad.p.x.table': column(gradient),
        },
      )
    expect(verifyFile(positions([2, 43])).passed).toBe(true)
    const failed = (file: string) => verifyFile(file).checks.filter(({ passed }) => !passed)
    expect(failed(positions([2, 43.001])).map(({ name }) => name)).toEqual(['grad.p.x.table'])
    expect(failed(positions([2, 43], [7, 5, 5.001])).map(({ name }) => name)).toEqual(['out.p.x'])
  })

  it('names operators that it does not have, with their number of cases', () => {
    const cases = {
      'a.x': { operator: 'unheard' },
      'a.y': { operator: 'unheard' },
      b: { operator: 'toString' },
    }
    const tensors = { 'expected.out.a.x': floats([1]), 'expected.grad.a.x.z': floats([1]) }
    const file = made('self-distillation-operators', cases, tensors)
    const notSupported = ['operator "unheard" (2 cases)', 'operator "toString" (1 case)']
    expect(verifyFile(file)).toEqual({ file, checks: [], notSupported, passed: false })
  })

  it.each<[string, RegExp, () => string]>([
    [
      'an option missing',
      /its case "flat" does not fit.*bins/s,
      () => made('hog', { flat: { ...options, bins: undefined } }, {}),
    ],
    ['no input', /it has no tensor "input.flat.images"/, () => made('hog', { flat: options }, {})],
    [
      'another shape than expected',
      /expected.out.flat: computed \[1, 1, 1\], got \[1\]/,
      () => hog(0, { 'expected.out.flat': floats([0]) }),
    ],
    [
      'an output of no case',
      /belongs to no case: "expected.out.z"/,
      () => hog(0, { 'expected.out.z': floats([1]) }),
    ],
  ])('refuses %s', (_, message, make) => expect(() => verifyFile(make())).toThrow(message))
})

describe.skipIf(!existsSync(folder))('self-distillation-operators (skipped where ../shared is not)', () => {
  it('positions with their gradients; what is not there yet is named', () => {
    const { checks, notSupported } = verifyFile(join(folder, 'self-distillation-operators.safetensors'))
    expect(checks.filter(({ passed }) => !passed)).toEqual([])
    expect(checks.map(({ tolerance }) => tolerance)).toEqual(Array(14).fill(1e-5))
    expect(notSupported).toEqual([
      'operator "sinkhorn" (5 cases)',
      'operator "koleo" (3 cases)',
      'operator "gram" (7 cases)',
    ])
  })
})

const all = join(folder, '..')
describe.skipIf(!existsSync(all))('everything in ../shared/reference (skipped where it is not)', () => {
  it('is right, or is named as not supported yet', () => {
    const results = referenceFiles(all).map(({ file }) => verifyFile(file))
    expect(results.length).toBeGreaterThan(80)
    for (const { file, checks, notSupported, passed } of results) {
      expect([file, checks.filter((check) => !check.passed)]).toEqual([file, []])
      expect([file, passed]).toEqual([file, notSupported.length === 0])
    }
    const right = results.filter(({ passed }) => passed).map(({ file }) => file.slice(all.length + 1))
    const operators = [
      'self-distillation/augment',
      'self-distillation/schedules',
      'targets/hog',
      'targets/vqkd-quantizer',
    ]
    const expected = ['mae-square-rgb', 'mae-wide-5ch-raw', ...operators].map((name) => `${name}.safetensors`)
    expect(right).toEqual(expect.arrayContaining(expected))
  })
})
