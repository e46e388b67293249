// The time that there is, the programs that are run in it, and what they leave: a log, results.json and a page, written after every stage.
import { spawn, spawnSync } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { summary } from './summary.mjs'

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..')

const secondsOfStop = 10 // from the request to stop to the end of a program that does not
const secondsToWrite = 5 // kept of the time for what comes after the last program

/** What a program of the system prints; empty if there is none. */
const ask = (program, ...args) => spawnSync(program, args, { encoding: 'utf8' }).stdout?.trim() ?? ''

/** Where the stage that loads it was not asked for. */
async function versionOfLibTorch() {
  if (!has('dist/src/tensor/libtorch.js')) return null
  const { findLibTorch } = await import('../../dist/src/tensor/libtorch.js')
  return findLibTorch().libtorch?.version ?? null
}

/** `asked`: the names of the stages. */
export function openLease(options, asked) {
  const started = Date.now()
  const { device, quick } = options
  const minutes = options.minutes === undefined ? Number.POSITIVE_INFINITY : Number(options.minutes)
  if (!(minutes > 0)) {
    console.error('gpu: --minutes is a number above 0')
    process.exit(2)
  }
  const out = resolve(options.out)
  const work = resolve(options.work ?? join(tmpdir(), 'sherd-gpu'))
  for (const folder of [out, work]) mkdirSync(folder, { recursive: true })
  const log = createWriteStream(join(out, `checks-${device}.txt`))

  const env = { ...process.env }
  if (!env.LIBTORCH) env.LIBTORCH_USE_PYTORCH ??= '1'
  if (options.python) {
    env.SHERD_PEER_PYTHON = resolve(options.python)
    env.PATH = dirname(resolve(options.python)) + delimiter + env.PATH // sherd asks "python3" where its PyTorch is
  }

  Object.assign(process.env, env) // for what is asked of sherd in this process

  const gpu =
    device === 'cuda' ? ask('nvidia-smi', '--query-gpu=name', '--format=csv,noheader').split('\n')[0] : ''
  const date = new Date().toISOString().slice(0, 10)
  const slug = (gpu || device).toLowerCase().replace(/[^a-z0-9]+/g, '-')
  const page = join(out, `${date}-${slug}-training`)
  /** By stage: seconds, status, and the numbers that it found. */
  const results = {
    date,
    gpu: gpu || null,
    device,
    quick,
    node: process.versions.node,
    libtorch: null,
    stages: {},
  }

  const say = (text) => {
    process.stdout.write(text)
    log.write(text)
  }
  const save = () => {
    writeFileSync(`${page}.json`, `${JSON.stringify(results, null, 2)}\n`)
    if (['pretrain', 'probe', 'tune'].some((name) => results.stages[name]))
      writeFileSync(`${page}.md`, summary(results))
  }
  const secondsLeft = () => minutes * 60 - secondsToWrite - (Date.now() - started) / 1000

  /**
   * Runs a program; resolves to its status (null: it was stopped because the time was over), seconds and lines of JSON. Those lines
   * are not shown, but go to a file. `until`: seconds after which it is stopped.
   */
  function program(command, args, { until = secondsLeft(), keepJson = true, onEvent } = {}) {
    const began = Date.now()
    const events = []
    return new Promise((done) => {
      const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
      const stops = Number.isFinite(until)
        ? ['SIGINT', 'SIGKILL'].map((signal, i) =>
            setTimeout(() => child.kill(signal), Math.max(0, 1000 * (until - secondsOfStop * (1 - i)))),
          )
        : []
      let rest = ''
      child.stdout.setEncoding('utf8').on('data', (text) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()
        for (const line of lines) {
          if (!line.startsWith('{"kind"')) {
            say(`${line}\n`)
            continue
          }
          const event = JSON.parse(line)
          events.push(event)
          onEvent?.(event)
          if (keepJson) lease.keep(line)
        }
      })
      child.stderr.setEncoding('utf8').on('data', say)
      child.on('error', (error) => say(`${error}\n`))
      child.on('close', (status, signal) => {
        for (const stop of stops) clearTimeout(stop)
        if (rest) say(`${rest}\n`)
        const seconds = (Date.now() - began) / 1000
        done({ status: signal ?? status, isStopped: seconds >= until - secondsOfStop, seconds, events })
      })
    })
  }

  const jsonl = `${page}.jsonl`
  const kept = []
  const failed = []
  const lease = {
    ...{ options, asked, device, quick, out, work, page, env, say, secondsLeft, results, failed },
    program,
    keep(line) {
      kept.push(line)
      writeFileSync(jsonl, `${line}\n`, { flag: kept.length === 1 ? 'w' : 'a' })
    },
    /** This very Node.js. */
    node: (args, more) => program(process.execPath, args, more),
    sherd: (args, more) => program(process.execPath, [join(root, 'dist/src/cli/bin.cjs'), ...args], more),
    /** Why something is not done. */
    skip(what, why) {
      say(`\n== ${what}: not run, ${why}\n`)
    },
    save,
    /** `least`: seconds below which it is not worth beginning. `do` returns an object of numbers; `{ failed }` says what went wrong. */
    async run({ name, least, without, do: work, isAdvice }) {
      const why =
        without?.(lease) ||
        (secondsLeft() < (quick ? 0 : least) &&
          `${Math.max(0, Math.round(secondsLeft()))} s are left and it takes at least ${least}`)
      if (why) {
        lease.skip(name, why)
        results.stages[name] = { notRun: why }
        return save()
      }
      say(`\n== ${name}\n`)
      const began = Date.now()
      const found = {}
      results.stages[name] = found
      try {
        Object.assign(found, await work(lease, found))
      } catch (error) {
        found.failed = String(error?.stack ?? error)
      }
      found.seconds = Math.round((Date.now() - began) / 1000)
      results.libtorch ??= await versionOfLibTorch()
      say(`== ${name}: ${found.failed ? `FAILED, ${found.failed}` : 'ok'}, ${found.seconds} s\n`)
      if (found.failed && !isAdvice) failed.push(name)
      save()
    },
    close() {
      const total = Math.round((Date.now() - started) / 1000)
      say(
        `\n${failed.length === 0 ? 'All done' : `FAILED: ${failed.join(', ')}`} in ${total} s; results in ${out}\n`,
      )
      return failed.length === 0 ? 0 : 1
    },
  }
  return lease
}

/** Of a program that must end well. */
export const failedOf = ({ status, isStopped }) =>
  status === 0 ? {} : { failed: isStopped ? 'stopped: the time was over' : `status ${status}` }

export const has = (path) => existsSync(join(root, path))
