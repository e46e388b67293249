// mask.kind and its keys: what they allow together, and that the objective hides what they say.
import { describe, expect, it } from 'vitest'
import { maskedObjectiveOf } from '../../src/config/assemble.ts'
import { maskDesignOf, masksOf, resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput, MaskedConfig } from '../../src/config/schema.ts'
import type { MaskedObjective } from '../../src/objective/masked.ts'
import { type Schedule, valueAt } from '../../src/optim/schedule.ts'
import { scope } from '../../src/tensor/scope.ts'
import { maskOf } from '../../src/token/mask.ts'
import { numbers } from '../tolerance.ts'

const model = { imageSize: [32, 64], patchSize: 8, width: 12, depth: 1, heads: 1 } as const // 4 × 8 patches
const configOf = (mask: ConfigInput['mask']) =>
  resolveConfig({
    model: { ...model, imageSize: [...model.imageSize] },
    decoder: { width: 12, depth: 1, heads: 1 },
    mask,
  })

it.each<[ConfigInput['mask'], string]>([
  [{ ratio: 0 }, 'mask.ratio'],
  [{ ratio: 1 }, 'mask.ratio'],
  [{ kind: 'block', ratio: 0.98 }, 'mask.ratio 0.98 of 32 patches keeps 0: at least one patch must be kept'],
  [
    { kind: 'block', minBlock: 25 },
    'mask.minBlock is 25, and mask.ratio 0.75 hides 24 of 32 patches: expected at most 24',
  ],
  [{ kind: 'block', minBlock: 0 }, 'mask.minBlock'],
  [
    { kind: 'coarse', cell: 12 },
    'mask.cell is 12 pixels, and a patch 8 × 8: expected a multiple of its sides',
  ],
  [{ kind: 'coarse', cell: 4 }, 'mask.cell is 4 pixels, and a patch 8 × 8: expected a multiple of its sides'],
  [
    { kind: 'coarse', cell: 64 },
    'mask.cell is 64 pixels, and model.imageSize 32 × 64: one cell covers all, take a smaller one',
  ],
  [
    { kind: 'blocks' } as never,
    'mask.kind: expected random or block or grid or coarse or multi-block or centre or periphery or attention or loss or files, got "blocks"',
  ],
])('%j is refused', (mask, message) => {
  expect(() => configOf(mask)).toThrow(
    expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(message) as string }),
  )
})

it.each<[ConfigInput['mask'], string]>([
  [{ cell: 16 }, 'mask.cell is read only with mask.kind=coarse, and mask.kind is random.'],
  [{ kind: 'grid', minBlock: 2 }, 'mask.minBlock is read only with mask.kind=block, and mask.kind is grid.'],
])('%j: what another kind reads is refused', (mask, message) => {
  expect(() => configOf(mask)).toThrow(message)
})

it('a cell is two patches where none is set, whatever the size of a patch', () => {
  expect(masksOf(configOf({ kind: 'coarse' }))).toMatchObject({ kind: 'coarse', cell: null })
  expect(maskDesignOf(configOf({ kind: 'coarse' }) as MaskedConfig).shape).toEqual({
    kind: 'coarse',
    cell: [2, 2],
  })
})

describe('a ratio that changes', () => {
  const objectiveWith = (mask: ConfigInput['mask']) => maskedObjectiveOf(configOf(mask), 'cpu')
  const scheduleOf = ({ schedules }: MaskedObjective) =>
    (schedules as Readonly<Record<string, Schedule>>).maskRatio!
  const at = (over: object = {}) => ({ seed: 3, samples: { epochs: [0, 0], indices: [0, 1] }, ...over })
  const hiddenAt = (objective: MaskedObjective, maskRatio?: number) =>
    scope(() => objective.plan(at(maskRatio === undefined ? {} : { value: { maskRatio } })).hidden.shape)

  it('is a schedule, and hides what it says in each step', () => {
    const objective = objectiveWith({ ratio: 0.5, ratioTo: 0.9 })
    expect(objective.schedules).toEqual({ maskRatio: { kind: 'linear', from: 0.5, to: 0.9 } })
    const ratios = [0, 5, 10].map((step) =>
      valueAt(scheduleOf(objective), { step, epoch: 0, stepsPerEpoch: 4, totalSteps: 10 }),
    )
    expect(ratios).toEqual([0.5, 0.7, 0.9])
    expect(hiddenAt(objective, 0.5)).toEqual([2, 16]) // of 32
    expect(hiddenAt(objective, 0.9)).toEqual([2, 29]) // 3.2 are kept
    expect(hiddenAt(objective)).toEqual([2, 23]) // of pictures: the mean, 0.7, where 9.6 are kept
  })

  it.each(['block', 'grid', 'coarse', 'centre'] as const)('of kind %s hides exactly as many', (kind) => {
    expect(hiddenAt(objectiveWith({ kind, ratio: 0.2, ratioTo: 0.8 }), 0.5)).toEqual([2, 16])
  })

  it('draws at the address of the step, alike for all samples and in the whole range', () => {
    const schedule = scheduleOf(objectiveWith({ ratio: 0.4, ratioTo: 0.8, ratioSchedule: 'uniform' }))
    const of = (seed: number) =>
      Array.from({ length: 400 }, (_, step) =>
        valueAt(schedule, { step, epoch: 0, stepsPerEpoch: 1, totalSteps: 400, seed }),
      )
    const drawn = of(1)
    expect(of(1)).toEqual(drawn)
    expect(of(2)).not.toEqual(drawn)
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0.4)
    expect(Math.max(...drawn)).toBeLessThan(0.8)
    // Uniform over 0.4: mean 0.6, deviation 0.4 / √12; five standard errors of 400.
    expect(Math.abs(drawn.reduce((a, b) => a + b) / 400 - 0.6)).toBeLessThan((5 * 0.4) / Math.sqrt(12 * 400))
  })

  it('that stays is no schedule', () => {
    expect(objectiveWith({ ratio: 0.5 }).schedules).toBeUndefined()
    expect(objectiveWith({ ratio: 0.5, ratioTo: 0.5 }).schedules).toBeUndefined()
  })

  it.each<[ConfigInput['mask'], string]>([
    [{ ratioTo: 0.98 }, 'mask.ratioTo 0.98 of 32 patches keeps 0: at least one patch must be kept'],
    [{ ratioTo: 1 }, 'mask.ratioTo'],
    [{ ratioTo: 0 }, 'mask.ratioTo'],
    [
      { kind: 'block', ratio: 0.9, ratioTo: 0.5, minBlock: 20 },
      'mask.minBlock is 20, and mask.ratioTo 0.5 hides 16 of 32 patches: expected at most 16',
    ],
  ])('%j is refused', (mask, message) => {
    expect(() => configOf(mask)).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(message) as string }),
    )
  })
})

it.each<[ConfigInput['mask'], string[] | null]>([
  [{ kind: 'periphery' }, ['########', '##....##', '##....##', '########']],
  [{ kind: 'grid' }, ['.#.#.#.#', '########', '.#.#.#.#', '########']],
  [{ kind: 'coarse', ratio: 0.5, cell: 32 }, null],
])('the objective hides what %j says', (mask, picture) => {
  const objective = maskedObjectiveOf(configOf(mask), 'cpu')
  const [hidden, other] = [0, 1].map((index) =>
    scope(() => {
      const all = numbers(maskOf(objective.plan({ seed: 3, samples: { epochs: [0], indices: [index] } })))
      return Array.from({ length: 4 }, (_, y) =>
        all
          .slice(8 * y, 8 * y + 8)
          .map((each) => (each === 1 ? '#' : '.'))
          .join(''),
      )
    }),
  ) as [string[], string[]]
  if (picture) expect([hidden, other]).toEqual([picture, picture])
  else expect(['####....', '....####']).toContain(hidden[0]) // one of two cells of 4 × 4
})
