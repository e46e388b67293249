import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { inProcess, sherd } from './sherd.ts'

const commands = [
  ...['demo', 'pretrain', 'presets', 'reconstruct'],
  'evaluate',
  ...['embed', 'classify', 'segment', 'serve'],
  ...['index', 'search', 'duplicates', 'outliers', 'clusters'],
  ...['export', 'import'],
  ...['pack', 'sample-data'],
  ...['setup', 'doctor', 'verify', 'bench'],
]

describe('sherd', () => {
  it('lists its commands', async () => {
    const { status, stdout } = await inProcess(['--help'])
    expect(status).toBe(0)
    const listed = [...stdout.matchAll(/^ {2}([a-z][a-z-]+) {2,}/gm)].map(([, name]) => name)
    expect(listed).toEqual([...commands, 'help'])
  })

  it.each([
    ...commands.map((name) => [name]),
    ['bench', 'step'],
    ['bench', 'data'],
    ['bench', 'gemm'],
    ...['onnx', 'huggingface', 'timm'].map((name) => ['export', name]),
    ...['knn', 'linear', 'fewshot', 'finetune', 'partial', 'scratch'].map((name) => ['evaluate', name]),
  ])('%s %s explains every option', async (...names) => {
    const { status, stdout, stderr } = await inProcess([...names, '--help'])
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^Usage: sherd ${names.join(' ')} `))
    const options = [...stdout.matchAll(/^ {2}(-\S.*)$/gm)].map(([, line]) => line!)
    expect(options.length).toBeGreaterThan(0)
    for (const line of options) expect(line).toMatch(/^(-\w, |--run, )?--[a-z-]+( <\S+>| \[\S+\])? {2,}\w/)
  })

  it('knows its version', async () => {
    const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
      version: string
    }
    expect(await sherd(['--version'])).toMatchObject({ status: 0, stdout: `${manifest.version}\n` })
  })

  it.each<[string[], RegExp]>([
    [[], /Usage: sherd/],
    [['bench'], /Usage: sherd bench/],
    [['pretrian'], /unknown command 'pretrian'\n\(Did you mean pretrain\?\)/],
    [['sampledata'], /unknown command 'sampledata'\n\(Did you mean sample-data\?\)/],
    [['--versoin'], /unknown option '--versoin'\n\(Did you mean --version\?\)/],
    [['presets', 'mae-base-224', 'more'], /too many arguments/],
    [['verify'], /missing required argument 'file'/],
    [['doctor', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['demo', '--ou', 'x'], /unknown option '--ou'\n\(Did you mean --out\?\)/],
    [['bench', 'step', '--step', '3'], /unknown option '--step'\n\(Did you mean --steps\?\)/],
    [['bench', 'step', '--steps', '0'], /--steps <n>.* Expected a whole number of at least 1/],
    // A mistyped option that is needed is told as mistyped, not as missing.
    [['sample-data', '--ot', 'x'], /unknown option '--ot'\n\(Did you mean --out\?\)/],
    [
      ['reconstruct', '--run', 'r', '--image', 'd', '--out', 'x.png'],
      /unknown option '--image'\n\(Did you mean --images\?\)/,
    ],
    [['sample-data'], /required option '--out <dir>' not specified/],
    [['embed', 'd'], /required options '--run, --model <path>', '--out <file>' not specified/],
    [['sample-data', '--out', ''], /required option '--out <dir>' not specified/],
    [['reconstruct', '--run', 'r', '--images', 'd'], /required option '--out <file>' not specified/],
    [['sample-data', '--out', 'x', '--count', '9'], /--count <n>.* Expected a whole number of at least 10/],
    [['sample-data', '--out', 'x', '--seed', '1.5'], /--seed <n>.* Expected a whole number of at least 0/],
    // An option that is given twice would lose one of its values.
    [['serve', '--model', 'a', '--model', 'b'], /option '--run, --model <path>' was given twice/],
    [['embed', 'd', '--run', 'a', '--model', 'b'], /option '--run, --model <path>' was given twice/],
    [['duplicates', '--index', 'i', '--index', 'j'], /option '--index <dir>' was given twice/],
    // --set that nobody would read.
    [['embed', 'd', '--model', 'r', '--out', 'f.npy', '--set', 'rubbish'], /--set expects key\.path=value/],
    [
      ['embed', 'd', '--model', 'r', '--out', 'f.npy', '--set', 'model.depht=2'],
      /Did you mean "model\.depth"/,
    ],
    [
      ['embed', 'd', '--model', 'r', '--out', 'f.npy', '--set', 'model.depth=2'],
      /overrides a preset, and none/,
    ],
    [
      ['export', 'timm', '--model', 'r', '--out', 'o', '--set', 'model.depth=2'],
      /overrides a preset, and none/,
    ],
    [
      ['export', 'onnx', '--model', 'random', '--preset', 'mae-demo', '--out', 'o', '--set', 'optim.beta1=0'],
      /--set optim\.beta1 would change nothing: this command reads what says the model/,
    ],
    [
      ['embed', 'd', '--model', 'r', '--out', 'f.npy', '--model-seed', '1'],
      /--model-seed is of --model random/,
    ],
    [
      ['bench', 'gemm', '--set', 'data.window=9'],
      /data\.window is read only with data\.kind=rasters, and data\.kind is images: name the bands in data\.bands/,
    ],
  ])('%j is a wrong command: status 2 and a hint', async (args, message) => {
    const { status, stdout, stderr } = await inProcess(args)
    expect(stderr).toMatch(message)
    expect([status, stdout]).toEqual([2, ''])
  })
})

it('lets a reader leave before the end, as `| head -1` does', async () => {
  const launcher = join(packageRoot(), 'dist/src/cli/bin.cjs')
  const child = spawn(process.execPath, [launcher, 'presets', '--keys'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaints = ''
  child.stderr.on('data', (chunk) => {
    complaints += String(chunk)
  })
  child.stdout.destroy()
  const [status] = await once(child, 'exit')
  expect([status, complaints]).toEqual([0, ''])
})
