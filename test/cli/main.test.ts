import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { program } from '../../src/cli/main.ts'
import { packageRoot } from '../../src/package-root.ts'
import { pathOf, withinTree } from './parse.ts'
import { inProcess, sherd, workFolder } from './sherd.ts'

const all = withinTree(program()).filter((command) => command.name() !== 'help')

describe('sherd', () => {
  it('lists its commands', async () => {
    const { status, stdout } = await inProcess(['--help'])
    expect(status).toBe(0)
    const listed = [...stdout.matchAll(/^ {2}([a-z][a-z-]+) {2,}/gm)].map(([, name]) => name)
    expect(listed.sort()).toEqual(
      all[0]!.commands
        .map((command) => command.name())
        .filter((name) => name !== 'help')
        .sort(),
    )
  })

  it.each(all.slice(1).map((command) => [pathOf(command)]))('%j explains every option', async (names) => {
    const { status, stdout, stderr } = await inProcess([...names, '--help'])
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^Usage: sherd ${names.join(' ')} `))
    const options = [...stdout.matchAll(/^ {2}(-\S.*)$/gm)].map(([, line]) => line!)
    expect(options.length).toBeGreaterThan(0)
    for (const line of options) expect(line).toMatch(/^(-\w, |--run, )?--[a-z-]+( <\S+>| \[\S+\])? {2,}\w/)
  })

  it.each([[['help', 'evaluate', 'knn']], [['evaluate', 'knn', '--help']], [['evaluate', 'help', 'knn']]])(
    '%j explains a command',
    async (args) => {
      const { status, stdout, stderr } = await inProcess(args)
      expect([status, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(/^Usage: sherd evaluate knn /)
    },
  )

  it('says as JSON what is wrong with a command line', async () => {
    const { status, json } = await inProcess(['embed', 'd', '--json', '--ot', 'x'])
    expect([status, json()]).toEqual([2, [expect.objectContaining({ kind: 'error', code: 'USAGE' })]])
    expect(json()[0]!.message).toMatch(/^unknown option '--ot'\. Did you mean --out\?/)
  })

  it('every command takes --help and --quiet, which leaves no notes', async () => {
    const leaves = all.filter(({ commands }) => commands.length === 0)
    for (const { options } of leaves) expect(options.map(({ long }) => long)).toContain('--quiet')
    const quiet = await inProcess([
      'sample-data',
      '--count',
      '10',
      '--quiet',
      '--out',
      join(await workFolder(), 'a'),
    ])
    expect([quiet.status, quiet.stderr]).toEqual([0, ''])
    expect(quiet.stdout).toMatch(/^10 images in 10 classes: /)
  })

  it('knows its version', async () => {
    const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
      version: string
    }
    expect(await sherd(['--version'])).toMatchObject({ status: 0, stdout: `${manifest.version}\n` })
  })

  it.each<[string[], RegExp]>([
    [['bench'], /Usage: sherd bench/],
    [['pretrian'], /unknown command 'pretrian'\. Did you mean pretrain\?/],
    [['trian'], /unknown command 'trian'\. Did you mean pretrain\?/],
    [['trian', '--help'], /unknown command 'trian'\. Did you mean pretrain\?/],
    [['evaluate', 'finetnue', '-h'], /unknown command 'finetnue'\. Did you mean finetune\?/],
    [['xyz'], /unknown command 'xyz'\.\n/],
    [['sampledata'], /unknown command 'sampledata'\. Did you mean sample-data\?/],
    [['--versoin'], /unknown option '--versoin'\. Did you mean --version\?/],
    [['presets', 'mae-base-224', 'more'], /too many arguments/],
    [['verify'], /missing required argument 'file'/],
    [['doctor', '--jsn'], /unknown option '--jsn'\. Did you mean --json\?/],
    [['demo', '--ou', 'x'], /unknown option '--ou'\. Did you mean --out\?/],
    [['bench', 'step', '--step', '3'], /unknown option '--step'\. Did you mean --steps\?/],
    [['bench', 'step', '--steps', '0'], /--steps <n>.* Expected a whole number of at least 1/],
    // A mistyped option that is needed is told as mistyped, not as missing.
    [['sample-data', '--ot', 'x'], /unknown option '--ot'\. Did you mean --out\?/],
    [
      ['reconstruct', '--run', 'r', '--dat', 'd', '--out', 'x.png'],
      /unknown option '--dat'\. Did you mean --data\?/,
    ],
    // What other programs call a command or an option.
    [['train', '--data', 'd'], /unknown command 'train'\. Write "(npx )?sherd pretrain"/],
    [['info', 'photo.jpg'], /unknown command 'info'\. Write "(npx )?sherd inspect"/],
    [['onnx', '--run', 'r'], /unknown command 'onnx'\. Write "(npx )?sherd export onnx"/],
    [['evaluate', 'eval'], /unknown command 'eval'\.\nIt has knn, linear/],
    [['help', 'evaluate', 'kn'], /unknown command 'kn'\.\nIt has knn, linear/],
    [
      ['pretrain', '--out', 'r', '--lr', '1'],
      /unknown option '--lr'\. Write --set optim\.baseLearningRate=…/,
    ],
    [['evaluate', 'finetune', '--lr', '1'], /unknown option '--lr'\. Write --rate\./],
    [['evaluate', 'finetune', '--warmup', '1'], /unknown option '--warmup'\. Write --warm-up\./],
    [['evaluate', 'finetune', '--warmup_epochs', '1'], /'--warmup_epochs'\. Write --warm-up\./],
    [['evaluate', 'scratch', '--num-epochs', '1'], /'--num-epochs'\. Write --epochs\./],
    // Keys of training are read by nobody where a model is given.
    [['evaluate', 'knn', '--lr', '1'], /unknown option '--lr'\.\n/],
    [['evaluate', 'linear', '--batch_size=1'], /unknown option '--batch_size=1'\. Write --batch\./],
    [['bench', 'step', '--batch', '1'], /unknown option '--batch'\. Write --set train\.batchSize=…/],
    [['pretrain', '--out', 'r', '--gpu'], /unknown option '--gpu'\. Write --device cuda\./],
    [
      ['evaluate', '--run', 'r', '--model', 'm'],
      /--run comes after what to evaluate: (npx )?sherd evaluate knn --run/,
    ],
    [['sample-data'], /required option '--out <dir>' not specified/],
    [['embed', 'd'], /required options '--run, --model <path>', '--out <file>' not specified/],
    [['sample-data', '--out', ''], /required option '--out <dir>' not specified/],
    [['reconstruct', '--run', 'r', '--data', 'd'], /required option '--out <file>' not specified/],
    [['sample-data', '--out', 'x', '--count', '9'], /--count <n>.* Expected a whole number of at least 10/],
    [['sample-data', '--out', 'x', '--seed', '1.5'], /--seed <n>.* Expected a whole number of at least 0/],
    // An option that is given twice would lose one of its values.
    [['serve', '--model', 'a', '--model', 'b'], /option '--run, --model <path>' was given twice/],
    [
      ['embed', 'd', '--run', 'a', '--model', 'b'],
      /option '--run, --model <path>' was given twice: both are names of one option/,
    ],
    [['duplicates', '--index', 'i', '--index', 'j'], /option '--index <dir>' was given twice/],
    // --set that nobody would read.
    [['embed', 'd', '--model', 'r', '--out', 'f.npy', '--set', 'rubbish'], /--set expects key\.path=value/],
    [
      ['embed', 'd', '--model', 'r', '--out', 'f.npy', '--set', 'model.depht=2'],
      /Did you mean "model\.depth"/,
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
