// Ctrl-C in every command that may take longer than a few seconds: it stops within one piece of work, says so with status 130, leaves nothing half
// under a final name, and the same command then makes what it would have made at once.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { resolveConfig } from '../../src/config/resolve.ts'
import { packageRoot } from '../../src/package-root.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { run, tinyConfig } from '../run/tiny.ts'
import { startHeld } from './held.ts'
import { inProcess, type Outcome, sherd, tiny, tinyModel, workFolder } from './sherd.ts'

let dir = ''
beforeAll(async () => {
  dir = await workFolder()
  await writeSampleData({ dir: join(dir, 'photos'), count: 90, size: 20, seed: 3 })
  const codes = resolveConfig({
    objective: 'vq-pixels',
    model: { imageSize: 16, patchSize: 4, width: 8, depth: 1 },
    codebook: { size: 16, width: 4, decoderDepth: 1 },
    train: { batchSize: 8, steps: 1, threads: 1 },
  })
  for (const [name, config] of [
    ['run', tinyConfig({ train: { steps: 1 } })],
    ['vq', codes],
  ] as const)
    for await (const _ of await run({ config, data: join(dir, 'photos'), out: join(dir, name) }));
  await inProcess(['index', 'photos', '--model', 'run', '--out', 'known'], { cwd: dir })
})

const command = (line: string) => line.split(' ')

/** Runs a command in this process; what it has added to listen to SIGINT is called once `when` holds. */
async function interruptedWhen(args: readonly string[], when: () => boolean): Promise<Outcome> {
  const before = process.listeners('SIGINT')
  let isOver = false
  const outcome = inProcess(args, { cwd: dir }).finally(() => {
    isOver = true
  })
  const look = () => {
    const own = process.listeners('SIGINT').filter((each) => !before.includes(each))
    if (own.length > 0 && when()) for (const listener of own) listener('SIGINT')
    else if (!isOver) setImmediate(look)
  }
  look()
  return outcome
}

/** Contents of a file or folder, without records, whose results name the time that a comparison took. */
const contentOf = (path: string): unknown =>
  statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((name) => !/made\.json$/.test(name) && statSync(join(path, name)).isFile())
        .sort()
        .map((name) => [name, readFileSync(join(path, name), 'latin1')])
    : readFileSync(path, 'latin1')

const reference = join(packageRoot(), 'test/reference')

/** `to`: the option of what they write, and its name. */
const commands: readonly { readonly line: string; readonly to?: readonly [option: string, name: string] }[] =
  [
    { line: 'export onnx --model run --precision fp32 int8', to: ['--out', 'out'] },
    { line: 'export huggingface --model run --onnx fp32 q8', to: ['--out', 'out'] },
    { line: 'export timm --model run', to: ['--out', 'out'] },
    { line: `import ${join(packageRoot(), 'test/fixtures/weights/timm')}`, to: ['--out', 'a.safetensors'] },
    { line: 'reconstruct --model run --data photos', to: ['--out', 'a.png'] },
    { line: 'look --model run --images photos', to: ['--out', 'seen'] },
    { line: 'sample-data --count 30 --size 16', to: ['--out', 'set'] },
    { line: 'sample-data --kind satellite --count 10 --size 16 --dates 1', to: ['--out', 'set'] },
    { line: 'pack --data photos', to: ['--out', 'pack'] },
    { line: 'embed photos --model run', to: ['--out', 'a.npy'] },
    { line: 'tokenize photos --model vq', to: ['--out', 'a.npy'] },
    { line: 'index photos --model run --approximate', to: ['--out', 'index'] },
    { line: 'duplicates --index known', to: ['--csv', 'a.csv'] },
    { line: 'outliers --index known', to: ['--csv', 'a.csv'] },
    { line: 'clusters --index known --count 3', to: ['--csv', 'a.csv'] },
    { line: 'inspect photos' },
    { line: `verify ${reference}` },
    { line: `bench step --steps 3 ${tiny().join(' ')}` },
    { line: `bench data --data photos --batches 3 ${tiny().join(' ')}` },
    { line: `bench gemm ${tiny().join(' ')}` },
  ]

describe.each(commands)('sherd $line', ({ line, to }) => {
  it('stops at the first Ctrl-C, and then does all of it', async () => {
    const own = await workFolder()
    const args = (out: string) => [...command(line), ...(to ? [to[0], join(own, out, to[1])] : [])]
    const stopped = await interruptedWhen(args('a'), () => true)
    expect([stopped.status, stopped.stderr]).toEqual([
      130,
      expect.stringMatching(
        /^SIGINT: .* \(again to quit at once\) …\n[\s\S]*Stopped after [\d,]+ of [\d,]+ [a-z ]+[.;]/m,
      ),
    ])
    if (!to) return
    expect(existsSync(join(own, 'a', to[1]))).toBe(false)
    expect(
      existsSync(join(own, 'a'))
        ? readdirSync(join(own, 'a')).filter((each) => !each.endsWith('.partial'))
        : [],
    ).toEqual([])
    const again = await inProcess(args('a'), { cwd: dir })
    expect([again.status, again.stderr]).toEqual([0, expect.not.stringContaining('error')])
    expect((await inProcess(args('b'), { cwd: dir })).status).toBe(0)
    expect(contentOf(join(own, 'a'))).toEqual(contentOf(join(own, 'b')))
  })
})

it('export huggingface keeps graphs that are compared, and does not make them again', async () => {
  const args = command('export huggingface --model run --onnx fp32 fp16 q8 --out parts')
  const graph = join(dir, 'parts.partial/result/parts/onnx/model.onnx')
  const proof = join(dir, 'parts.partial/proofs/fp32.json')
  const { status, stderr } = await interruptedWhen(args, () => existsSync(proof))
  expect([status, stderr]).toEqual([
    130,
    expect.stringContaining('Stopped after 1 of 3 graphs; the same command continues.'),
  ])
  const made = statSync(graph).mtimeMs
  expect((await inProcess(args, { cwd: dir })).status).toBe(0)
  expect(statSync(join(dir, 'parts/onnx/model.onnx')).mtimeMs).toBe(made)
  expect(readdirSync(join(dir, 'parts/onnx')).sort()).toEqual([
    'model.onnx',
    'model_fp16.onnx',
    'model_quantized.onnx',
  ])
  expect(readdirSync(dir).filter((name) => name.startsWith('parts'))).toEqual(['parts'])
})

describe('a signal of the system', () => {
  const model = tinyModel({ 'model.imageSize': 64, 'model.patchSize': 8 })

  it('stops sherd export onnx; files that are finished stay, and are not made again', async () => {
    const args = [
      ...command('export onnx --model random --preset mae-small-64 --precision fp32 fp16 int8 --out graphs'),
      ...model,
    ]
    const running = startHeld(args, dir, { path: 'graphs/encoder.onnx' })
    await running.reached
    running.kill('SIGINT')
    running.letGo()
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([
      130,
      expect.stringMatching(/Stopped after 1 of 3 files; the same command continues\.\n$/),
    ])
    const left = readdirSync(join(dir, 'graphs')).filter((name) => !name.startsWith('.'))
    expect(left.every((name) => name.endsWith('.onnx'))).toBe(true)
    const made = statSync(join(dir, 'graphs/encoder.onnx')).mtimeMs
    const again = await inProcess(args, { cwd: dir })
    expect([again.status, again.stderr]).toEqual([
      0,
      expect.stringContaining('encoder.onnx is there, made by this command'),
    ])
    expect(statSync(join(dir, 'graphs/encoder.onnx')).mtimeMs).toBe(made)
    await inProcess(args.with(args.indexOf('graphs'), 'at-once'), { cwd: dir })
    expect(contentOf(join(dir, 'graphs'))).toEqual(contentOf(join(dir, 'at-once')))
  })

  it('stops sherd index; what is embedded is kept', async () => {
    const args = command('index many --model graphs/encoder.onnx --out index')
    await writeSampleData({ dir: join(dir, 'many'), count: 160, size: 16, seed: 3 })
    const running = startHeld(args, dir, { path: 'index.partial/batches*' })
    await running.reached
    running.kill('SIGINT')
    running.letGo()
    const { status, stderr } = await running.ended
    expect([status, stderr]).toEqual([
      130,
      expect.stringMatching(/Stopped after \d+ of 160 images; the same command continues\.\n$/),
    ])
    expect(readdirSync(dir).filter((name) => name.startsWith('index'))).toEqual(['index.partial'])
    expect((await sherd(args, { cwd: dir })).status).toBe(0)
    expect((await inProcess(args.with(-1, 'index-at-once'), { cwd: dir })).status).toBe(0)
    expect(contentOf(join(dir, 'index'))).toEqual(contentOf(join(dir, 'index-at-once')))
    expect(readdirSync(dir).filter((name) => name.endsWith('.partial'))).toEqual([])
  })
})
