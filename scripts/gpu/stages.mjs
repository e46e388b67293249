// The stages, in order. `least`: seconds below which a stage is not begun; `without`: why it cannot be done here.
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { failedOf, has, root } from './lease.mjs'
import { pretrain } from './pretrain.mjs'
import { probe, tune } from './tune.mjs'

function canLoad(name) {
  try {
    createRequire(import.meta.url)(name)
    return true
  } catch {
    return false
  }
}

// Prints what was loaded: a prebuilt addon that this machine cannot load is compiled here.
const loadAddon = `
const { engineBuild } = await import(process.argv[1])
const { version, cudaBuild, cudaKernels, cudaDevices } = engineBuild()
console.log(JSON.stringify({ kind: 'engine', version, cudaBuild, cudaKernels, cudaDevices }))`

async function build(lease) {
  if (has('node_modules/typescript/bin/tsc')) {
    const done = await lease.node([
      join(root, 'node_modules/typescript/bin/tsc'),
      '-p',
      'tsconfig.build.json',
    ])
    if (done.status !== 0) return failedOf(done)
  } else lease.say('no TypeScript here: the carried dist/ is used\n')
  const done = await lease.sherd(['setup'])
  if (done.status !== 0) return failedOf(done)
  const module = new URL('../../dist/src/tensor/context.js', import.meta.url).href
  const loaded = await lease.node(['--input-type=module', '-e', loadAddon, module])
  const engine = loaded.events[0]
  if (!engine) return failedOf({ ...loaded, status: loaded.status || 'none: it printed nothing' })
  lease.results.libtorch = engine.version
  lease.say(
    `LibTorch ${engine.version}, kernels of a GPU ${engine.cudaKernels ? 'yes' : 'no'}, ${engine.cudaDevices} GPUs\n`,
  )
  return {
    ...engine,
    ...(lease.device === 'cuda' && engine.cudaDevices === 0 && { failed: 'LibTorch sees no GPU' }),
  }
}

function references() {
  const folder = join(root, 'test/reference')
  const names = existsSync(folder) ? readdirSync(folder) : []
  return names.flatMap((name) => (name.endsWith('.safetensors') ? [join(folder, name)] : []))
}

// Of the time that is left, where training follows.
const shareOfBench = 0.5

async function bench(lease) {
  const { options, device, quick, out } = lease
  const every = device === 'cuda' ? ['tiny-gpu', 'large-gpu'] : ['tiny', 'small', 'base']
  const rows = options.rows?.split(',') ?? (quick ? every.slice(0, 1) : every)
  const isBeforeTraining = lease.asked.some((name) => ['pretrain', 'probe', 'tune'].includes(name))
  const until = (isBeforeTraining ? shareOfBench : 1) * lease.secondsLeft()
  const done = await lease.node(
    [
      join(root, 'dist/bench/run.js'),
      ...['--device', device, '--out', out],
      ...rows.flatMap((row) => ['--only', row]),
      ...(options.ways?.split(';') ?? []).flatMap((way) => ['--way', way.trim()]),
      ...(device === 'cuda' && options.batch !== 'largest' ? ['--batch', options.batch] : []),
      ...(quick ? ['--rounds', '1', '--steps', '1'] : ['--rounds', options.rounds]),
    ],
    { until },
  )
  return { rows, ...failedOf(done) }
}

const noData = ({ options }) => !options.data && !options.model && 'no --data and no --model'

export const stages = [
  { name: 'build', least: 10, do: build },
  { name: 'doctor', least: 20, isAdvice: true, do: async (lease) => failedOf(await lease.sherd(['doctor'])) },
  {
    name: 'verify',
    least: 20,
    without: () => references().length === 0 && 'no test/reference/*.safetensors here',
    do: async ({ sherd, device }) => failedOf(await sherd(['verify', '--device', device, ...references()])),
  },
  {
    name: 'tests',
    least: 40,
    without: () => !has('node_modules/vitest/vitest.mjs') && 'no Vitest here',
    do: async ({ node }) =>
      failedOf(await node([join(root, 'node_modules/vitest/vitest.mjs'), 'run', 'cuda'])),
  },
  {
    name: 'gemm',
    least: 20,
    do: async ({ sherd, device, quick }) =>
      failedOf(
        await sherd(['bench', 'gemm', quick ? 'mae-tiny-cifar10' : 'mae-large-224', '--device', device]),
      ),
  },
  { name: 'bench', least: 120, without: () => !canLoad('sharp') && 'sharp cannot be loaded', do: bench },
  { name: 'pretrain', least: 60, without: ({ options }) => !options.data && 'no --data', do: pretrain },
  { name: 'probe', least: 40, without: noData, do: probe },
  { name: 'tune', least: 60, without: noData, do: tune },
]
export const stageNames = stages.map(({ name }) => name)
