/** Runs the command line as a user does, and reads what it leaves. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../src/evaluate/evaluate.ts'
import { packageRoot } from '../src/package-root.ts'

const launcher = join(packageRoot(), 'dist/src/cli/bin.cjs')

/** What `sherd ARGS` prints. Its progress goes to the terminal; a failure ends the experiment with the same status. */
export function sherd(...args: string[]): string {
  console.error(`\n$ sherd ${args.join(' ')}`)
  const done = spawnSync(process.execPath, [launcher, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (done.status === 0) return done.stdout
  if (done.stdout) console.error(done.stdout)
  console.error('The experiment can go on from here: give the same command again.')
  process.exit(done.status ?? 1)
}

/** `sherd evaluate PROTOCOL`, unless its report is there already. */
export function report(protocol: string, out: string, ...args: string[]): Report {
  const path = join(out, 'report.json')
  if (!existsSync(path)) sherd('evaluate', protocol, '--out', out, ...args)
  return JSON.parse(readFileSync(path, 'utf8')) as Report
}

/** `sherd evaluate frozen`, unless its last report is there already. */
export function frozenReports(out: string, ...args: string[]): Record<'knn' | 'linear' | 'fewshot', Report> {
  if (!existsSync(join(out, 'fewshot/report.json'))) sherd('evaluate', 'frozen', '--out', out, ...args)
  const read = (name: string) => JSON.parse(readFileSync(join(out, name, 'report.json'), 'utf8')) as Report
  return { knn: read('knn'), linear: read('linear'), fewshot: read('fewshot') }
}

/** `sherd pretrain`: begun, gone on with, or done already. `length` is such as `--epochs 4`. */
export function pretrain(out: string, length: readonly string[], preset: string, ...args: string[]): void {
  const isBegun = existsSync(join(out, 'config.json'))
  const how = isBegun ? ['pretrain', '--resume', '--out', out] : ['pretrain', preset, '--out', out, ...args]
  sherd(...how, ...length)
}
