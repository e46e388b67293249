// Whatever a caller passes through the public library ends in a result or in an exception, never in the end of the process.
// The runner of this file is a process of its own: a signal in it fails the file.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as sherd from '../../src/index.ts'
import { temporaryFolder } from './temporary-folder.ts'

const { fromArray, liveTensors, ops, requireGradient, scope, SherdError, Tensor, tensor, toArray } = sherd

// Some of what is called takes a text for a folder to write to.
const home = process.cwd()
const scratchFolder = mkdtempSync(join(tmpdir(), 'sherd-junk-'))
beforeAll(() => process.chdir(scratchFolder))
afterAll(() => {
  process.chdir(home)
  rmSync(scratchFolder, { recursive: true })
})

const grid = () => tensor([1, 2, 3, 4], [2, 2])
const freed = () => {
  const x = grid()
  x.dispose()
  return x
}
const integers = (...values: number[]) => fromArray(Int32Array.from(values), [1, values.length], 'int32')
const indices = (...values: number[]) =>
  fromArray(BigInt64Array.from(values, BigInt), [1, values.length], 'int64')
const cyclic = (): unknown[] => {
  const loop: unknown[] = []
  loop.push(loop)
  return loop
}
const nested = (depth: number) => {
  let array: unknown[] = []
  for (let i = 0; i < depth; i++) array = [array]
  return array
}
const trap = new Proxy(
  {},
  {
    get() {
      throw new RangeError('a trap')
    },
  },
)

type Loose = (...args: unknown[]) => unknown
const loose = Object.fromEntries(Object.entries(ops)) as Record<keyof typeof ops, Loose>

/** What LibTorch finds wrong is said in its words, which change with its versions: they are matched for what they mean. */
describe('must fail, with a SherdError that says what is wrong', () => {
  const parameter = () => requireGradient(grid())
  const rows: [string, RegExp, () => unknown][] = [
    // shapes
    ['a negative size', /negative/, () => ops.zeros([-1])],
    ['NaN as a size', /expected an integer, got the number NaN/, () => ops.zeros([Number.NaN])],
    ['infinity as a size', /got the number Infinity/, () => ops.zeros([Number.POSITIVE_INFINITY])],
    ['a size of 2.5', /got the number 2.5/, () => ops.ones([2.5])],
    ['a size of 10¹⁵', /alloc|memory/i, () => ops.zeros([1e15])],
    ['sizes whose product overflows', /overflow/, () => ops.zeros([2 ** 40, 2 ** 40])],
    ['sizes that overflow beside a zero', /overflow/, () => ops.zeros([2 ** 53 - 1, 2 ** 53 - 1, 0])],
    ['a view of 2⁴⁵ elements, copied', /alloc|memory/i, () => toArray(ops.expand(ops.zeros([1]), [2 ** 45]))],
    ['a view whose size overflows', /overflow/, () => ops.expand(ops.zeros([1]), [2 ** 52, 2 ** 52])],
    ['a string as a shape', /got the string "2"/, () => loose.zeros('2')],
    ['strings in a shape', /got the string "2"/, () => loose.zeros(['2'])],
    [
      'a cyclic array as a shape',
      /aten::zeros\(\[\[\[\[…\]\]\]\], .*call stack/,
      () => loose.zeros(cyclic()),
    ],
    ['a very deep array as a shape', /aten::zeros\(.*call stack/, () => loose.zeros(nested(1e5))],
    ['a deep array as a shape', /expected an integer, got an array/, () => loose.zeros(nested(20))],
    ['a symbol in a shape', /Symbol\(s\)\].*got an object/, () => loose.zeros([Symbol('s')])],
    ['a BigInt in a shape', /a BigInt is no argument/, () => loose.zeros([2n])],
    ['fewer bytes than the shape', /needs 16 bytes, got 4/, () => tensor([1], [2, 2])],
    // tensors that are none
    ['a number as a tensor', /expected a tensor, got the number 1/, () => loose.abs(1)],
    ['a string as a tensor', /expected a tensor, got the string "x"/, () => loose.abs('x')],
    ['null as a tensor', /expected a tensor, got null/, () => loose.abs(null)],
    ['nothing as a tensor', /expected a tensor, got undefined/, () => loose.abs()],
    ['a BigInt as a tensor', /a BigInt is no argument/, () => loose.abs(2n ** 24n)],
    ['an object as a tensor', /expected a tensor, got an object/, () => loose.abs({ handle: 2 ** 24 })],
    ['a symbol as a tensor', /Symbol\(s\)\).*expected a tensor/, () => loose.abs(Symbol('s'))],
    ['a function as a tensor', /expected a tensor, got an object/, () => loose.abs(() => 1)],
    [
      'what only looks like a tensor',
      /aten::abs\(freed tensor\): /,
      () => loose.abs(Object.create(Tensor.prototype)),
    ],
    ['a freed tensor', /already freed/, () => ops.abs(freed())],
    ['a freed tensor in a list', /already freed/, () => ops.cat([grid(), freed()], 0)],
    ['a handle out of nowhere', /already freed/, () => ops.abs(new Tensor(0))],
    ['a handle beyond all', /already freed/, () => ops.abs(new Tensor(2 ** 52))],
    ['a handle that is none', /not by new/, () => new Tensor(Number.NaN)],
    // indices
    ['narrow beyond the end', /narrow/, () => ops.narrow(grid(), 0, 1, 2)],
    ['narrow before the start', /narrow/, () => ops.narrow(grid(), 0, -3, 1)],
    ['narrow by a negative length', /narrow/, () => ops.narrow(grid(), 0, 0, -1)],
    ['select beyond the end', /select/, () => ops.select(grid(), 0, 2)],
    ['gather beyond the end', /out of (bounds|range)/, () => ops.gather(grid(), 1, indices(0, 2))],
    ['gather before the start', /out of (bounds|range)/, () => ops.gather(grid(), 1, indices(-1))],
    ['gather by floats', /int64/, () => ops.gather(grid(), 1, grid())],
    [
      'index beyond the end',
      /out of (bounds|range)/,
      () => ops.indexSelect(grid(), 0, ops.select(indices(2), 0, 0)),
    ],
    ['scatter beyond the end', /out of (bounds|range)/, () => ops.scatterValue(grid(), 1, indices(2), 1)],
    [
      'gather beyond the end on every thread',
      /out of (bounds|range)/,
      () => ops.gather(ops.zeros([300_000]), 0, ops.add(ops.arange(300_000), 1)),
    ],
    ['a dimension that is not there', /dimension out of range/i, () => ops.softmax(grid(), 2)],
    // autograd
    ['backward of four numbers', /scalar/, () => sherd.backward(ops.mul(parameter(), 2))],
    ['backward without a graph', /not require grad/, () => sherd.backward(tensor([1], []))],
    ['backward of integers', /not require grad/, () => sherd.backward(ops.sum(integers(1)))],
    [
      'backward twice',
      /second time/,
      () => {
        const loss = ops.sum(ops.square(parameter()))
        sherd.backward(loss)
        sherd.backward(loss)
      },
    ],
    [
      'backward inside noGrad',
      /not require grad/,
      () => sherd.backward(sherd.noGrad(() => ops.sum(parameter()))),
    ],
    ['a gradient of integers', /floating/, () => requireGradient(integers(1))],
    [
      'a result that shall not ask for a gradient',
      /leaf/,
      () => requireGradient(ops.mul(parameter(), 2), false),
    ],
    // the engine
    ['no threads', /from 1 to 4096, got the number 0/, () => sherd.setThreads(0)],
    ['10⁹ threads', /from 1 to 4096, got the number 1000000000/, () => sherd.setThreads(1e9)],
    ['synchronize a device that is none', /nonsense/, () => sherd.synchronize('nonsense')],
    ['synchronize nothing', /empty/, () => sherd.synchronize('')],
    ['synchronize a number', /expected a device/, () => sherd.synchronize(0 as never)],
    [
      'autocast to integers',
      /expected bfloat16/,
      () => sherd.autocast({ device: 'cpu', dtype: 'int32' }, grid),
    ],
    ['autocast to a typo', /got bf16/, () => sherd.autocast({ device: 'cpu', dtype: 'bf16' as never }, grid)],
    ['a seed of 2⁶⁰', /\[0, 2\^53\)/, () => sherd.manualSeed(2 ** 60)],
    [
      'an array of another type',
      /needs a Float32Array/,
      () => fromArray(new Float64Array(4) as never, [2, 2], 'float32'),
    ],
    // the rest of the data flow
    ['patches of side 0', /of 0 × 0/, () => sherd.patchify(tensor(Array(16).fill(1), [1, 1, 4, 4]), 0)],
    ['patches of side −2', /of -2 × -2/, () => sherd.gridOf([4, 4], -2)],
    ['patches of side 0.5', /of 0.5 × 0.5/, () => sherd.gridOf([4, 4], 0.5)],
    [
      'images without a batch',
      /expected \[B, C, H, W\]/,
      () => sherd.patchify(tensor(Array(16).fill(1), [1, 4, 4]), 2),
    ],
    ['to keep more patches than there are', /1 ≤ kept < N = 2, got 2/, () => sherd.planFromNoise(grid(), 2)],
    ['to keep NaN patches', /got NaN/, () => sherd.planFromNoise(grid(), Number.NaN)],
    ['a mask of no rows', /at least one row/, () => sherd.planFromMask([])],
    ['a mask ratio of NaN', /mask.ratio NaN/, () => sherd.keptCount(4, Number.NaN)],
    ['a checkpoint that is none', /is not a checkpoint/, () => sherd.loadCheckpoint('/no/such', [], 'cpu')],
    ['a file that is none', /Cannot open/, () => sherd.readSafetensors('/no/such')],
    ['a folder as a file', /no regular file/, () => sherd.readSafetensors('/')],
    ['a device as a file', /no regular file/, () => sherd.verifyFile('/dev/null')],
  ]
  it.each(rows)('%s', (_, pattern, body) => {
    let error: unknown
    try {
      scope(body)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(SherdError)
    expect((error as Error).message).toMatch(pattern)
  })

  it('gather by 32-bit integers where LibTorch knows no such thing; else it is right', () => {
    const taken = () => toArray(ops.gather(grid(), 1, integers(1)))
    let values: unknown
    let error: unknown
    scope(() => {
      try {
        values = taken()
      } catch (thrown) {
        error = thrown
      }
    })
    if (error === undefined) expect(values).toEqual(Float32Array.of(2))
    else {
      expect(error).toBeInstanceOf(SherdError)
      expect((error as Error).message).toMatch(/int64|long/i)
    }
    for (const beyond of [2, -1])
      expect(() => scope(() => ops.gather(grid(), 1, integers(beyond)))).toThrow(SherdError)
  })

  it.runIf(sherd.engineBuild().cudaDevices === 0)('CUDA where there is none', () => {
    for (const body of [
      () => sherd.synchronize('cuda'),
      () => ops.zeros([1], { device: 'cuda' }),
      () => ops.toDevice(grid(), 'cuda:3'),
    ])
      expect(() => scope(body)).toThrow(SherdError)
  })
})

describe('operators and what is not theirs', () => {
  const junk: [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['0', 0],
    ['−1', -1],
    ['0.5', 0.5],
    ['NaN', Number.NaN],
    ['10³⁰⁰', 1e300],
    ['text', 'x'],
    ['true', true],
    ['a symbol', Symbol('s')],
    ['a BigInt', 2n ** 24n],
    ['an object', {}],
    ['an empty array', []],
    ['[1]', [1]],
    ['[−1]', [-1]],
    ['[NaN]', [Number.NaN]],
    ['huge sizes', [1e15, 1e15]],
    ['text in an array', ['a']],
    ['undefined in an array', [undefined]],
    ['arrays in an array', [[1]]],
    ['a cyclic array', cyclic()],
    ['a deep array', nested(500)],
    ['a Proxy', new Proxy([], {})],
    ['a trap', trap],
    ['no prototype', Object.create(null)],
    ['a typed array', new Float32Array(2)],
    ['a function', () => 1],
    ['a freed tensor', freed()],
    ['a dead handle', new Tensor(123)],
    ['a device', 'cuda'],
    ['options', { dtype: 'int8', device: 'nowhere' }],
  ]
  // Tensors of this place are made for each call, since a call may change what asks for a gradient.
  const places: [string, (junk: unknown) => unknown[]][] = [
    ['alone', (x) => [x]],
    ['first', (x) => [x, grid(), indices(0)]],
    ['second', (x) => [grid(), x, 0, 1]],
    ['third', (x) => [grid(), 0, x, 1]],
    ['fourth', (x) => [grid(), 0, indices(0), x]],
    ['everywhere', (x) => [x, x, x, x]],
    ['after a shape', (x) => [[2, 2], x, x]],
    ['beside integers', (x) => [integers(1, 0), x, grid()]],
  ]
  const { Tensor: _, SherdError: __, ...rest } = sherd
  // Left out: what reads or trains on whole folders, waits for other threads, or installs; their own tests have their bad inputs.
  const elsewhere = [
    'describeMachine', // takes nothing
    'openSessionThread',
    'serve',
    'setUp',
    'setUpPrebuilt',
    'examine',
    'pretrain',
    'openLoader',
    'openImageFolder',
    'openRun',
    'loadModel',
    'setThreads',
    'writeSampleData',
    'measureStatistics',
    'train',
    'ops',
    'saveCheckpoint',
    'writeSafetensors',
  ]
  const functions = [
    ...Object.entries(ops),
    ...Object.entries(rest).filter(
      ([name, value]) => typeof value === 'function' && !elsewhere.includes(name),
    ),
  ] as [string, Loose][]

  it.each(functions)('%s', (_name, run) => {
    const before = liveTensors()
    for (const [, value] of junk)
      for (const [, place] of places) {
        let thrown: unknown = null
        try {
          scope(() => run(...place(value)))
        } catch (error) {
          thrown = error
        }
        expect(thrown === null || thrown instanceof Error).toBe(true)
      }
    expect(liveTensors() - before).toBeLessThan(junk.length * places.length + 1)
  })

  const makers = ['zeros', 'ones', 'full', 'arange', 'randn', 'cat']
  const takers = Object.entries(loose).filter(([name]) => !makers.includes(name))
  it.each(takers)('%s refuses everything else in the place of its tensor', (_name, run) => {
    const others = junk.filter(([, value]) => !(value instanceof Tensor))
    for (const [what, value] of [...others, ['a freed tensor', freed()] as const])
      expect(() => scope(() => run(value, 0, indices(0), 1)), what).toThrow()
  })
})

it('paths of every kind end in an error', () => {
  const dir = temporaryFolder()
  mkdirSync(join(dir, 'folder.safetensors'))
  const map = new Map([['x', tensor([1], [1])]])
  for (const path of [dir, join(dir, 'folder.safetensors'), join(dir, 'no/such/file'), 'a\0b', ''])
    expect(() => sherd.writeSafetensors(path, map)).toThrow()
  for (const value of [undefined, null, 7, Symbol('s'), {}, cyclic()])
    expect(() => sherd.writeSafetensors(value as never, map)).toThrow()
})
