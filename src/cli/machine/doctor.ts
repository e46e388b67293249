/** `sherd doctor`: what is installed, what is missing, how to fix it; what the machine can do with each preset; a report. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { PresetSpeed } from '../../bench/preset-bench.ts'
import type { Finding } from '../../machine/finding.ts'
import { packageRoot } from '../../package-root.ts'
import { describeCommand } from '../help.ts'
import { duration, note, paint, print, printJson, table } from '../output.ts'
import { ownName } from '../own-name.ts'
import { endProgress, showProgress } from '../progress.ts'
import { stopSignal } from '../signals.ts'

interface Flags {
  presets?: true | string[]
  report?: true | string
  overwrite?: boolean
  json?: boolean
}

const marks = { ok: ['green', 'ok  '], warn: ['yellow', 'slow'], fail: ['red', 'FAIL'] } as const
const usualReport = 'sherd-report.md'

export function addDoctor(root: Command): void {
  describeCommand(root.command('doctor'), {
    group: 'Machine',
    page: 'machine.md',
    examples: [
      'sherd doctor  # what is here, what is missing, and how to get it',
      'sherd doctor --presets  # how fast each preset trains here, and its memory',
      'sherd doctor --report  # a text for a bug report, without personal names and paths',
    ],
  })
    .description('examine this machine; exit status 1 when training would not work')
    .option(
      '--presets [names...]',
      'measure what this machine can do with each preset, or with some; takes minutes',
    )
    .option(
      '--report [file]',
      `write what was found as a text for a bug report (default: ${usualReport}; - prints it)`,
    )
    .option('--overwrite', 'replace the file of the report')
    .option('--json', 'print the findings as JSON')
    .action(runDoctor)
}

async function runDoctor({ presets, report, overwrite, json }: Flags): Promise<void> {
  const { expectFree } = await import('../../files/claim.ts')
  const { presetNames, presetOf } = await import('../../config/presets.ts')
  const file = report === true ? usualReport : report
  if (file !== undefined && file !== '-') expectFree(file, overwrite)
  const named = presets === true ? presetNames : (presets ?? [])
  for (const name of named) presetOf(name)
  const env = { ...process.env } // before LibTorch and ONNX Runtime are loaded, which sets some
  const { examine } = await import('../../machine/doctor.ts')
  const findings = examine().map(withOwnName)
  const isBroken = findings.some(({ status }) => status === 'fail')
  if (isBroken) process.exitCode = 1
  if (!json && file === undefined) showFindings(findings)
  const names = presets === true && !isBroken ? await measurable(named) : named
  const speeds = isBroken ? [] : await measure(names)
  if (json) return printJson({ kind: 'doctor', findings, ...(presets && { presets: speeds }) })
  if (file !== undefined) return write(file, { findings, env })
  if (speeds.length > 0) showSpeeds(speeds)
  const left = named.filter((name) => !names.includes(name))
  if (left.length > 0) note(`not measured, since a model that they read is not here: ${left.join(', ')}`)
  else if (!isBroken && !presets) note(`how fast each preset trains here: ${ownName()} doctor --presets`)
}

const withOwnName = (finding: Finding): Finding =>
  finding.fix === undefined
    ? finding
    : { ...finding, fix: finding.fix.replaceAll(/\bsherd (?=setup)/g, `${ownName()} `) }

function showFindings(findings: readonly Finding[]): void {
  const width = Math.max(...findings.map(({ name }) => name.length))
  for (const { name, status, value, fix } of findings) {
    const [colour, mark] = marks[status]
    print(`${paint(colour, mark)}  ${name.padEnd(width)}  ${value}`)
    if (fix) print(`      ${' '.repeat(width)}  → ${fix}`)
  }
}

/** Without those that read a model that is not here, such as a tokenizer. */
async function measurable(names: readonly string[]): Promise<readonly string[]> {
  const { missingModels } = await import('../../bench/preset-bench.ts')
  return names.filter((name) => missingModels(name).length === 0)
}

async function measure(names: readonly string[]): Promise<PresetSpeed[]> {
  if (names.length === 0) return []
  const { benchPreset } = await import('../../bench/preset-bench.ts')
  const signal = stopSignal('stopping')
  const speeds: PresetSpeed[] = []
  for (const [i, name] of names.entries()) {
    showProgress([`measuring ${name}`, `${i + 1} of ${names.length} presets`], i / names.length)
    speeds.push(await benchPreset(name, { signal }))
  }
  endProgress()
  return speeds
}

const threeDigits = (n: number) => String(Number(n.toPrecision(3)))
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(bytes < 10e9 ? 1 : 0)} GB`

function showSpeeds(speeds: readonly PresetSpeed[]): void {
  const about = ({ isMeasured }: PresetSpeed) => (isMeasured ? '' : 'about ')
  print('')
  print(
    table(
      [
        ['preset', 'images/s', '100 epochs of 10,000', 'memory'],
        ...speeds.map((speed) =>
          speed.imagesPerSecond === null
            ? [speed.preset, '', 'does not fit', `${gigabytes(speed.memoryBytes)} or more`]
            : [
                speed.preset,
                about(speed) + threeDigits(speed.imagesPerSecond),
                duration(3600 * speed.hours!),
                about(speed) + gigabytes(speed.memoryBytes),
              ],
        ),
      ],
      [1, 2, 3],
      { header: true },
    ),
  )
  print('')
  print(
    'Whole training steps on random images, without reading files. "about": from steps of small batches. For your own images: ' +
      `${ownName()} plan --data DIR`,
  )
}

async function write(
  file: string,
  found: { readonly findings: readonly Finding[]; readonly env: NodeJS.ProcessEnv },
): Promise<void> {
  const { reportOf } = await import('../../machine/report.ts')
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string
  }
  const text = reportOf({ ...found, version })
  if (file === '-') return print(text.trimEnd())
  const { writeWhole } = await import('../../files/write-whole.ts')
  writeWhole(file, text)
  print(`report: ${file}`)
  note('It names no user, host or home folder. Read it before you send it, and fill in its first lines.')
}
