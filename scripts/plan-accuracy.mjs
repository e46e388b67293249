// Whether plans come true: plans a preset for a minute, runs the command that is proposed, and compares hours and peak memory.
//   npm run plan-accuracy -- [--hours 0.017] [--turns 3] [--preset NAME …] [--out bench/results]
// Plans and runs take turns, because a machine that others use changes its speed: the median of the turns is compared, each is reported with the load.
// Status 1 when a median is more than 15 % off.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const BAR = 0.15
/** So that short runs have their early look, too. */
const early = 'log.earlySeconds=20'
const root = resolve(fileURLToPath(import.meta.url), '../..')
const sherd = join(root, 'dist/src/cli/bin.cjs')
const part = (name) => import(join(root, 'dist/src', name))
const { openData } = await part('config/assemble.js')
const { describeMachine } = await part('machine/describe.js')
const { availableBytes } = await part('machine/memory.js')
const { configOf, ladderOf } = await part('plan/ladder.js')
const { measureLadder } = await part('plan/measure.js')
const { proposalOf } = await part('plan/proposal.js')
const { runTrial } = await part('plan/trial.js')

const { values } = parseArgs({
  options: {
    hours: { type: 'string', default: '0.017' },
    turns: { type: 'string', default: '3' },
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
const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}
const spread = (values) => `${percent(Math.min(...values))} to ${percent(Math.max(...values))}`

/** What `sherd plan` proposes for a preset, but that a time in which little can be learned is no error: where others use the machine it may be one. */
async function planOf(preset, data) {
  const rungs = ladderOf({ kind: 'images', side: 0, device: 'cpu', set: [], preset })
  const { files } = await openData(configOf(rungs[0]), data)
  const seconds = 3600 * Number(values.hours)
  const given = { images: files.length, distinct: files.length, seconds, available: availableBytes() }
  const asked = { ...given, data, set: [early], probe: [], trialSeconds: 8, take: runTrial, onTrial() {} }
  const field = await measureLadder(rungs, asked)
  const set = { model: [], run: [early], probe: [] }
  const options = { data, preset, hours: Number(values.hours) }
  return proposalOf(0, { options, given, set, out: join(folder, preset), probe: null, field })
}

/** A plan and its run, with the load of all programs on the machine before the plan, before and after the run. */
async function turnOf(preset, data) {
  const load = [loadavg()[0]]
  const proposal = await planOf(preset, data)
  load.push(loadavg()[0])
  const command = [...proposal.arguments, '--set', early]
  const taken = await run([...command, '--overwrite', '--quiet'])
  load.push(loadavg()[0])
  const seconds = { planned: 3600 * proposal.hours, took: taken.seconds }
  const memory = { planned: proposal.memoryBytes, took: taken.peak }
  return {
    ...{ preset, steps: proposal.steps, command: command.join(' '), seconds, memory, load },
    timeError: off(seconds.planned, seconds.took),
    memoryError: off(memory.planned, memory.took),
  }
}

const mega = (bytes) => (bytes / 1e6).toFixed(0)
const cellsOf = ({ steps, seconds, memory, timeError, memoryError, load }) => [
  ...[steps, seconds.planned.toFixed(0), seconds.took.toFixed(0), percent(timeError)],
  ...[
    mega(memory.planned),
    mega(memory.took),
    percent(memoryError),
    load.map((l) => l.toFixed(1)).join(', '),
  ],
]

const turns = []
try {
  await run(['sample-data', '--out', 'images', '--count', '600', '--quiet'])
  await run(['sample-data', '--kind', 'satellite', '--out', 'rasters', '--count', '150', '--quiet'])
  for (let turn = 0; turn < Number(values.turns); turn++)
    for (const preset of values.preset) {
      turns.push(await turnOf(preset, join(folder, preset.startsWith('satmae') ? 'rasters' : 'images')))
      console.log(`| ${[`\`${preset}\``, ...cellsOf(turns.at(-1))].join(' | ')} |`)
    }
} finally {
  cleanUp()
}

const machine = describeMachine()
const date = new Date().toISOString().slice(0, 10)
const rows = values.preset.map((preset) => {
  const own = turns.filter((turn) => turn.preset === preset)
  const [time, memory] = [own.map(({ timeError }) => timeError), own.map(({ memoryError }) => memoryError)]
  return { preset, own, time, memory, isRight: [time, memory].every((e) => Math.abs(median(e)) <= BAR) }
})
const isRight = rows.every((row) => row.isRight)
const name = join(values.out, `${date}-plan-accuracy`)
writeFileSync(
  `${name}.json`,
  `${JSON.stringify({ date, machine, hours: Number(values.hours), turns }, null, 2)}\n`,
)
writeFileSync(
  `${name}.md`,
  `# What plans said and what runs took, ${date}

${machine.cpu}, ${machine.cores} cores, LibTorch ${machine.libtorch}, Node ${machine.node}. \`npm run plan-accuracy\`: ${values.turns} times in turns a plan for
${values.hours} h, and its command with \`${early}\`. The load is that of all programs on the machine before the plan, before and after the run.

| preset | time: median | from … to | memory: median | from … to |
| --- | ---: | --- | ---: | --- |
${rows.map(({ preset, time, memory }) => `| \`${preset}\` | ${percent(median(time))} | ${spread(time)} | ${percent(median(memory))} | ${spread(memory)} |`).join('\n')}

The bar is ${100 * BAR} % for the medians: ${isRight ? 'met' : '**not met**'}.

| preset | steps | planned, s | took, s | time | planned, MB | took, MB | memory | load |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
${rows.flatMap(({ own }) => own.map((turn) => `| ${[`\`${turn.preset}\``, ...cellsOf(turn)].join(' | ')} |`)).join('\n')}
`,
)
console.log(`${name}.md`)
process.exitCode = isRight ? 0 : 1
