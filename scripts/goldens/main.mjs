// Goldens of tensor bytes: the weights, moments and losses that small runs end with, bit for bit (CONTRIBUTING.md).
//
//   node scripts/goldens/main.mjs check [--build DIR]                   compares a build with the record for this machine
//   node scripts/goldens/main.mjs record [--build DIR]                  writes that record
//   node scripts/goldens/main.mjs compare --before DIR [--build DIR]    compares two builds on this machine, tensor by tensor
//   … --only NAME…  these runs and the ones before them that they need; --json  one line for programs
//
// A build is a checkout with its `dist/`; this one by default. Status: 0 the same, 1 different, 3 no record for this machine.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { forced } from './environment.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../..')
const records = join(root, 'test/goldens')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    build: { type: 'string', default: root },
    before: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
})

/** Runs everything with a build, or what `known` records can be compared with, in a process of its own with what is forced. Throws when it fails. */
async function take(build, known) {
  const folder = mkdtempSync(join(tmpdir(), 'sherd-listing-'))
  const out = join(folder, 'listing.json')
  try {
    const child = spawn(process.execPath, [join(here, 'take.mjs'), resolve(build), out, ...values.only], {
      env: {
        ...{ ...process.env, ...forced },
        ...(known && {
          SHERD_GOLDENS_RECORDS: JSON.stringify(known.map(({ key, probe }) => ({ key, probe }))),
        }),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const status = await new Promise((done) => child.on('close', (code, signal) => done(signal ?? code)))
    if (status !== 0) throw new Error(`The runs of ${resolve(build)} ended with ${status}.`)
    return JSON.parse(readFileSync(out, 'utf8'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Which tensors of two listings differ; a record has only one digest of all. */
function differentTensors(before, now) {
  if (before.digest === now.digest) return 'the tensors are the same'
  if (!before.tensors) return 'a tensor differs ("compare" with a build says which)'
  const names = [...new Set([...Object.keys(before.tensors), ...Object.keys(now.tensors)])]
  const differ = names.filter((name) => before.tensors[name] !== now.tensors[name])
  const how = (name) => (name in now.tensors ? (name in before.tensors ? '' : ' (new)') : ' (gone)')
  const first = differ.slice(0, 3).map((name) => name + how(name))
  return `${differ.length} of ${names.length} tensors differ: ${first.join(', ')}${differ.length > 3 ? ' …' : ''}`
}

/** Where two runs begin to differ, or null. */
function differenceOf(before, now) {
  const step = before.losses.findIndex((loss, i) => loss !== now.losses[i])
  const first = [
    [before.losses.length !== now.losses.length, `${now.losses.length} losses, not ${before.losses.length}`],
    [step >= 0, `loss ${step + 1} is ${now.losses[step]}, not ${before.losses[step]}`],
    [before.rates !== now.rates, 'the losses are the same, a learning rate is not'],
    [before.norms !== now.norms, 'the losses are the same, a gradient norm is not'],
    [before.digest !== now.digest, 'losses and gradient norms are the same'],
  ].find(([differs]) => differs)
  return first ? `${first[1]}; ${differentTensors(before, now)}` : null
}

/** Lines about the runs that differ, and the names of those that are the same. */
function compareRuns(before, now) {
  const same = []
  const different = []
  for (const [name, run] of Object.entries(now.runs)) {
    const known = before.runs[name]
    const difference = known ? differenceOf(known, run) : 'there is no such run in the record'
    if (difference === null) same.push(name)
    else different.push(`${name}: ${difference}`)
  }
  return { same, different }
}

const textOf = (key) =>
  Object.entries(key)
    .map(([part, value]) => `  ${part.padEnd(9)} ${value}`)
    .join('\n')
const fileOf = (key) =>
  join(records, `${createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 12)}.json`)
/** What the generated images depend on beside sherd's code. */
const makers = () => ({ v8: process.versions.v8, sharp: sharp.versions.sharp })

const howToRecord = `To record: check a commit out that is known to be right, build it (npm run setup), then
  node scripts/goldens/main.mjs record --build THAT_CHECKOUT`

async function check() {
  const known = readdirSync(records)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(records, name), 'utf8')))
  const now = await take(values.build, known)
  const record = known.find(({ key }) => JSON.stringify(key) === JSON.stringify(now.key))
  if (!record)
    return {
      status: 'no record',
      message: `There is no record for what computes here:\n${textOf(now.key)}\nRecorded are:\n${known.map(({ key }) => textOf(key)).join('\nand\n')}\n${howToRecord}`,
    }
  const notes = []
  if (JSON.stringify(record.data) !== JSON.stringify(now.data)) {
    const message = `The generated images are not those of the record: ${Object.keys(now.data)
      .filter((name) => now.data[name] !== record.data[name])
      .join(', ')}.`
    const same = JSON.stringify(record.makers) === JSON.stringify(makers())
    return same
      ? { status: 'different', message }
      : {
          status: 'no record',
          message: `${message} It was made with ${JSON.stringify(record.makers)}, here is ${JSON.stringify(makers())}.\n${howToRecord}`,
        }
  }
  for (const precision of ['fp32', 'bf16'])
    if (record.probe[precision] !== now.probe[precision])
      notes.push(
        `LibTorch's own operators give other bits in ${precision} on this processor than on the one of the record, so those runs cannot be compared.`,
      )
  const { same, different } = compareRuns(record, now)
  const isDue = ([name, { precision }]) =>
    values.only.length === 0 && record.probe[precision] === now.probe[precision] && !now.runs[name]
  for (const [name] of Object.entries(record.runs).filter(isDue))
    different.push(`${name}: the record has it, and it was not run`)
  const title = `${same.length} runs have the bytes of the record of ${record.commit}`
  if (different.length > 0)
    return { status: 'different', message: [...different, title, ...notes].join('\n') }
  return {
    status: same.length > 0 ? 'same' : 'no record',
    message: [title, ...notes, ...(notes.length > 0 ? [howToRecord] : [])].join('\n'),
  }
}

function record(now) {
  const git = (...args) =>
    spawnSync('git', ['-C', resolve(values.build), ...args], { encoding: 'utf8' }).stdout.trim()
  const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
  const lines = Object.entries(now.runs).map(
    ([name, { tensors: _, ...run }]) => `    ${JSON.stringify(name)}: ${JSON.stringify(run)}`,
  )
  const { key, probe, data } = now
  const facts = {
    commit: `${git('rev-parse', '--short', 'HEAD') || 'a build without git'}${changed ? ', changed' : ''}`,
    key,
    forced,
    makers: makers(),
    probe,
    data,
  }
  const text = `{\n${Object.entries(facts)
    .map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`)
    .join(',\n')},\n  "runs": {\n${lines.join(',\n')}\n  }\n}\n`
  writeFileSync(fileOf(key), text)
  return {
    status: 'same',
    message: `${relative(process.cwd(), fileOf(key))} has ${lines.length} runs of ${facts.commit}`,
  }
}

async function compare() {
  if (!values.before) throw new Error('compare needs --before DIR, the checkout to compare with.')
  const before = await take(values.before)
  const now = await take(values.build)
  const { same, different } = compareRuns(before, now)
  const data =
    JSON.stringify(before.data) === JSON.stringify(now.data) ? [] : ['The generated images differ.']
  const title = `${same.length} of ${Object.keys(now.runs).length} runs end with the same bytes, of ${same.reduce((sum, name) => sum + Object.keys(now.runs[name].tensors).length, 0)} tensors`
  return {
    status: different.length + data.length > 0 ? 'different' : 'same',
    message: [...data, ...different, title].join('\n'),
  }
}

const commands = {
  check,
  record: async () => record(await take(values.build)),
  compare,
}
const command = commands[positionals[0] ?? 'check']
if (!command) throw new Error(`Unknown command "${positionals[0]}": check, record or compare.`)
const result = await command()
process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${result.message}\n`)
process.exitCode = { same: 0, different: 1, 'no record': 3 }[result.status]
