// Whether plans come true: plans a preset for a few minutes, runs the printed command, plans again, and compares hours and peak memory.
//   npm run plan-accuracy -- [--hours 0.05] [--preset NAME …] [--out bench/results]
// A plan before and one after each run, because a machine that others use changes its speed: the mean of both is compared, each is reported.
// Status 1 when a mean is more than 15 % off.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const BAR = 0.15
const root = resolve(fileURLToPath(import.meta.url), '../..')
const sherd = join(root, 'dist/src/cli/bin.cjs')
const { describeMachine } = await import(join(root, 'dist/src/machine/describe.js'))

const { values } = parseArgs({
  options: {
    hours: { type: 'string', default: '0.05' },
    preset: {
      type: 'string',
      multiple: true,
      default: ['mae-tiny-cifar10', 'mae-small-64', 'satmae-tiny-sentinel2'],
    },
    out: { type: 'string', default: join(root, 'bench/results') },
  },
})

const folder = mkdtempSync(join(tmpdir(), 'sherd-plan-accuracy-'))
const children = new Set()
const cleanUp = () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
for (const name of ['SIGINT', 'SIGTERM'])
  process.on(name, () => {
    cleanUp()
    process.exit(1)
  })

/** Runs sherd: seconds, standard output, and the process's peak resident set (Linux). */
function run(args) {
  const started = performance.now()
  const child = spawn(process.execPath, [sherd, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  let stdout = ''
  let peak = 0
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  const look = setInterval(() => {
    try {
      peak =
        1024 *
          Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/^VmHWM:\s+(\d+)/m)?.[1] ?? 0) ||
        peak
    } catch {
      // it has ended
    }
  }, 200)
  return new Promise((done, fail) => {
    child.on('close', (status) => {
      clearInterval(look)
      children.delete(child)
      if (status === 0) done({ seconds: (performance.now() - started) / 1000, stdout, peak })
      else fail(new Error(`sherd ${args.join(' ')} ended with status ${status}`))
    })
  })
}

const off = (predicted, actual) => predicted / actual - 1
const percent = (share) => `${share >= 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)} %`

const rows = []
try {
  await run(['sample-data', '--out', 'images', '--count', '600', '--quiet'])
  await run(['sample-data', '--kind', 'satellite', '--out', 'rasters', '--count', '150', '--quiet'])
  for (const preset of values.preset) {
    const data = preset.startsWith('satmae') ? 'rasters' : 'images'
    const ask = ['plan', '--data', data, '--preset', preset, '--hours', values.hours, '--quiet', '--json']
    const plan = async () => JSON.parse((await run(ask)).stdout.trim().split('\n').at(-1))
    const load = [loadavg()[0]]
    const before = await plan()
    const { proposal } = before
    const actual = await run([...proposal.arguments, '--quiet'])
    load.push(loadavg()[0])
    const after = await plan()
    // The second plan has other steps where the machine has become faster or slower: its time for those of the run.
    const again = ((3600 * after.proposal.hours) / after.proposal.steps) * proposal.steps
    const seconds = { before: 3600 * proposal.hours, after: again, run: actual.seconds }
    const memory = { before: proposal.memoryBytes, after: after.proposal.memoryBytes, run: actual.peak }
    const error = ({ before: a, after: b, run: c }) => ({
      before: off(a, c),
      after: off(b, c),
      mean: off((a + b) / 2, c),
    })
    const row = {
      preset,
      steps: proposal.steps,
      command: proposal.arguments.join(' '),
      seconds,
      memory,
      load,
    }
    rows.push({ ...row, timeError: error(seconds), memoryError: error(memory) })
    console.log(
      `${preset}: ${proposal.steps} steps, planned ${seconds.before.toFixed(0)} s (after: ${again.toFixed(0)} s), took ${actual.seconds.toFixed(0)} s: ` +
        `${percent(rows.at(-1).timeError.mean)}; planned ${(memory.before / 1e6).toFixed(0)} MB (${(memory.after / 1e6).toFixed(0)} MB), took ${(actual.peak / 1e6).toFixed(0)} MB: ${percent(rows.at(-1).memoryError.mean)}`,
    )
  }
} finally {
  cleanUp()
}

const machine = describeMachine()
const date = new Date().toISOString().slice(0, 10)
const isRight = rows.every(({ timeError, memoryError }) =>
  [timeError.mean, memoryError.mean].every((e) => Math.abs(e) <= BAR),
)
const name = join(values.out, `${date}-plan-accuracy`)
writeFileSync(
  `${name}.json`,
  `${JSON.stringify({ date, machine, hours: Number(values.hours), rows }, null, 2)}\n`,
)
const cells = ({ before, after, mean }) => `${percent(before)} | ${percent(after)} | ${percent(mean)}`
writeFileSync(
  `${name}.md`,
  `# What plans said and what runs took, ${date}

${machine.cpu}, ${machine.cores} cores, LibTorch ${machine.libtorch}, Node ${machine.node}. \`npm run plan-accuracy\`: a plan for ${values.hours} h, the printed command, a
plan again; errors of each plan against the run, and of their mean. The load is that of all programs on the machine, before and after the run.

| preset | steps | planned, s | took, s | time: before | after | mean | planned, MB | took, MB | memory: before | after | mean | load |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
${rows
  .map(
    ({ preset, steps, seconds, memory, timeError, memoryError, load }) =>
      `| \`${preset}\` | ${steps} | ${seconds.before.toFixed(0)} | ${seconds.run.toFixed(0)} | ${cells(timeError)} | ${(memory.before / 1e6).toFixed(0)} | ${(memory.run / 1e6).toFixed(0)} | ${cells(memoryError)} | ${load.map((l) => l.toFixed(1)).join(', ')} |`,
  )
  .join('\n')}

The bar is ${100 * BAR} % for the means: ${isRight ? 'met' : '**not met**'}.
`,
)
console.log(`${name}.md`)
process.exitCode = isRight ? 0 : 1
