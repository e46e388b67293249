// mask.kind and its keys: what they allow together, and that the objective hides what they say.
import { expect, it } from 'vitest'
import { maskedObjectiveOf } from '../../src/config/assemble.ts'
import { masksOf, resolveConfig } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
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
    'mask.kind: expected random or block or grid or coarse or centre or periphery, got "blocks"',
  ],
])('%j is refused', (mask, message) => {
  expect(() => configOf(mask)).toThrow(
    expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(message) as string }),
  )
})

it('what another kind reads is not looked at', () => {
  expect(masksOf(configOf({ cell: 12, minBlock: 30 }))).toMatchObject({
    kind: 'random',
    cell: 12,
    minBlock: 30,
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
