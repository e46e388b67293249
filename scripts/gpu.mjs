// Everything that only a machine with a GPU can tell, in one call: builds the addon against the PyTorch that is installed,
// examines the machine, checks numbers on the device, runs the GPU tests and the GPU's benchmark.
//
//   node scripts/gpu.mjs [--device cuda|cpu] [--python PATH] [--out DIR] [--rounds N] [--batch N] [--quick]
//
// Plain JavaScript that needs no network and no npm: dist/ may be compiled elsewhere and carried along (CONTRIBUTING.md says
// which files). What a carried copy lacks (TypeScript, Vitest, sharp) is left out and said so. --device cpu with --quick is
// a rehearsal on a machine without a GPU.
import { spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    python: { type: 'string' },
    out: { type: 'string', default: join(root, 'bench/results') },
    rounds: { type: 'string', default: '5' },
    batch: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const { device, quick } = values
const out = resolve(values.out)
mkdirSync(out, { recursive: true })
const log = createWriteStream(join(out, `checks-${device}.txt`))

const env = { ...process.env }
if (!env.LIBTORCH) env.LIBTORCH_USE_PYTORCH ??= '1'
if (values.python) {
  env.SHERD_PEER_PYTHON = values.python
  env.PATH = dirname(resolve(values.python)) + delimiter + env.PATH // sherd asks "python3" where its PyTorch is
}

function say(text) {
  process.stdout.write(text)
  log.write(text)
}

/** Runs this very Node.js with `args`; resolves to its exit status. */
function node(args) {
  return new Promise((done) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', say)
    child.on('error', (error) => say(`${error}\n`))
    child.on('close', (status, signal) => done(signal ?? status))
  })
}

const has = (name) => existsSync(join(root, 'node_modules', name, 'package.json'))
function canLoad(name) {
  try {
    createRequire(import.meta.url)(name)
    return true
  } catch {
    return false
  }
}

const sherd = (...args) => [join(root, 'dist/src/cli/bin.cjs'), ...args]
const folder = join(root, 'test/reference')
const references = existsSync(folder)
  ? readdirSync(folder).flatMap((name) => (name.endsWith('.safetensors') ? [join(folder, name)] : []))
  : []
const work = device === 'cuda' ? 'tiny-gpu' : 'tiny'
const whole = canLoad('sharp')
  ? []
  : device === 'cuda'
    ? ['tiny-gpu', 'large-gpu']
    : ['tiny', 'small', 'base']
const rows = quick ? [work] : whole // none named: every row of the device
const preset = quick ? 'mae-tiny-cifar10' : 'mae-large-224'

/** What is done, in order. `without`: why it cannot be done here. `advice`: its failure is not one of the whole. */
const steps = [
  {
    name: 'compile TypeScript',
    args: [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
    without: !has('typescript') && 'no TypeScript here: the carried dist/ is used',
  },
  { name: 'compile the addon', args: sherd('setup') },
  { name: 'doctor', args: sherd('doctor'), advice: true },
  {
    name: 'verify',
    args: sherd('verify', '--device', device, ...references),
    without: references.length === 0 && 'no test/reference/*.safetensors here',
  },
  {
    name: 'tests of a GPU',
    args: [join(root, 'node_modules/vitest/vitest.mjs'), 'run', 'cuda'],
    without: !has('vitest') && 'no Vitest here',
  },
  { name: 'bench gemm', args: sherd('bench', 'gemm', preset, '--device', device), without: quick && 'quick' },
  {
    name: 'benchmark',
    args: [
      join(root, 'dist/bench/run.js'),
      ...['--device', device, '--out', out],
      ...rows.flatMap((row) => ['--only', row]),
      ...(values.batch ? ['--batch', values.batch] : []),
      ...(quick ? ['--rounds', '1', '--steps', '1'] : ['--rounds', values.rounds]),
    ],
  },
]

const failed = []
for (const { name, args, without, advice } of steps) {
  if (without) {
    say(`\n== ${name}: not run, ${without}\n`)
    continue
  }
  say(`\n== ${name}\n`)
  const started = Date.now()
  const status = await node(args)
  say(
    `== ${name}: ${status === 0 ? 'ok' : `FAILED, status ${status}`}, ${Math.round((Date.now() - started) / 1000)} s\n`,
  )
  if (status !== 0 && !advice) failed.push(name)
  if (status !== 0 && name === 'compile the addon') break // nothing else can work
}
say(`\n${failed.length === 0 ? 'All done' : `FAILED: ${failed.join(', ')}`}; results in ${out}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
