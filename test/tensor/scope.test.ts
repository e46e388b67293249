import { describe, expect, it } from 'vitest'
import { SherdError } from '../../src/errors.ts'
import { add, mul } from '../../src/tensor/ops.ts'
import { liveTensors, scope, unscoped } from '../../src/tensor/scope.ts'
import { type Tensor, tensor, toFloats } from '../../src/tensor/tensor.ts'
import { numbers } from '../tolerance.ts'

const one = (value = 1) => tensor([value], [1])
const isFreed = (x: Tensor) => {
  try {
    toFloats(x)
    return false
  } catch {
    return true
  }
}

describe('what a scope returns', () => {
  const shapes: [string, (x: Tensor, y: Tensor) => unknown][] = [
    ['a tensor', (x) => x],
    ['an array', (x, y) => [x, y]],
    ['an array in an array', (x, y) => [1, [x, [y]]]],
    ['an object', (x, y) => ({ x, other: 'text', y: { y } })],
    [
      'a Map',
      (x, y) =>
        new Map([
          ['x', x],
          ['y', y],
        ]),
    ],
    [
      'a Map in an object in an array',
      (x, y) => [
        {
          map: new Map([
            [1, { x }],
            [2, { x: y }],
          ]),
        },
      ],
    ],
    ['nothing', () => undefined],
    ['the same tensor twice', (x) => [x, x]],
  ]
  it.each(shapes)('survives: %s', (_, shape) => {
    const before = liveTensors()
    let made: [Tensor, Tensor] | undefined
    scope(() => {
      const result = scope(() => {
        made = [one(3), one(4)]
        add(made[0], made[1]) // belongs to nobody: freed
        return shape(...made)
      })
      const [x, y] = made!
      const text = (value: unknown): string =>
        value instanceof Map
          ? [...value.values()].map(text).join()
          : Array.isArray(value)
            ? value.map(text).join()
            : value === x
              ? 'x'
              : value === y
                ? 'y'
                : value && typeof value === 'object'
                  ? Object.values(value).map(text).join()
                  : ''
      const held = text(result)
      expect([isFreed(x), isFreed(y)]).toEqual([!held.includes('x'), !held.includes('y')])
      expect(liveTensors()).toBe(before + Number(held.includes('x')) + Number(held.includes('y')))
      if (held.includes('x')) expect(numbers(x)).toEqual([3])
    })
    expect(liveTensors()).toBe(before) // they belonged to the scope around
  })

  it('does not look into classes of others', () => {
    class Box {
      readonly x: Tensor
      constructor(x: Tensor) {
        this.x = x
      }
    }
    const box = scope(() => new Box(one()))
    expect(isFreed(box.x)).toBe(true)
  })

  it('does not free what was made outside', () => {
    const outer = one(5)
    scope(() => mul(outer, 2))
    expect(numbers(outer)).toEqual([5])
    outer.dispose()
  })
})

describe('when a scope ends', () => {
  it('frees everything after an exception, also of inner scopes', () => {
    const before = liveTensors()
    const made: Tensor[] = []
    expect(() =>
      scope(() => {
        made.push(one())
        made.push(scope(() => one(2)))
        throw new RangeError('mine')
      }),
    ).toThrow(new RangeError('mine'))
    expect(made.map(isFreed)).toEqual([true, true])
    expect(liveTensors()).toBe(before)
  })

  it('opens the scope around again after an exception', () => {
    const before = liveTensors()
    scope(() => {
      expect(() => scope(() => Promise.reject(new Error('never seen')).catch(() => one()))).toThrow(
        SherdError,
      )
      one()
      expect(liveTensors()).toBe(before + 1)
    })
    expect(liveTensors()).toBe(before)
  })

  it('refuses a body that returns a Promise, and frees what it made', () => {
    const before = liveTensors()
    let made: Tensor | undefined
    expect(() =>
      scope(async () => {
        made = one()
        return made
      }),
    ).toThrow(/the body must be synchronous/)
    expect(isFreed(made!)).toBe(true)
    expect(liveTensors()).toBe(before)
  })

  it('frees in any depth', () => {
    const before = liveTensors()
    const deep = (depth: number): Tensor => scope(() => (depth === 0 ? one(1) : add(deep(depth - 1), one(1))))
    const result = deep(50)
    expect(numbers(result)).toEqual([51])
    expect(liveTensors()).toBe(before + 1)
    result.dispose()
  })

  it('leaves what was disposed inside', () => {
    const before = liveTensors()
    scope(() => {
      const x = one()
      x.dispose()
      return x
    })
    expect(liveTensors()).toBe(before)
  })
})

describe('unscoped', () => {
  it('makes tensors that outlive the scope around', () => {
    const kept = scope(() => {
      const made = unscoped(() => [one(7), scope(() => one(8))] as const)
      return () => made
    })()
    expect(kept.flatMap(numbers)).toEqual([7, 8])
    for (const each of kept) each.dispose()
  })

  it('lets the garbage collector free what was forgotten', async () => {
    const { setFlagsFromString } = await import('node:v8')
    const { runInNewContext } = await import('node:vm')
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const before = liveTensors()
    const forget = () => {
      for (let i = 0; i < 100; i++) one(i)
    }
    forget()
    for (let i = 0; i < 20 && liveTensors() > before; i++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })
})
