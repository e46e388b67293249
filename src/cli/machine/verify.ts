/** `sherd verify`: this installation against numbers of an independent PyTorch. */
import { type Command, Option } from 'commander'
import { messageOf, pause } from '../../errors.ts'
import type { PrecisionName } from '../../machine/plan.ts'
import type { Check } from '../../verify/check.ts'
import type { ReferenceFile } from '../../verify/reference-files.ts'
import type { Verification } from '../../verify/verify.ts'
import { describeCommand } from '../help.ts'
import { note, print, printJson, table } from '../output.ts'
import { counting } from '../progress.ts'
import { stopSignal } from '../signals.ts'

interface Flags {
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision: PrecisionName
  readonly verbose?: boolean
  readonly json?: boolean
}

/** Exit statuses from best to worst: over several files the worst counts. Status 2 is wrong usage. */
const statuses = [0, 3, 1] as const
type Status = (typeof statuses)[number]
const statusOf = ({ passed, checks }: Verification): Status =>
  passed ? 0 : checks.some((check) => !check.passed) ? 1 : 3

export function addVerify(root: Command): void {
  describeCommand(root.command('verify'), {
    group: 'Machine',
    page: 'verify.md',
    examples: [
      'sherd verify reference.safetensors  # compare with numbers of PyTorch',
      'sherd verify references --device cuda  # a folder of them, on a GPU',
    ],
  })
    .description('check this installation against reference files')
    .argument('<file...>', 'reference files (.safetensors), layout folders, or folders of them')
    .addOption(
      new Option('--device <device>', 'where to compute').choices(['auto', 'cpu', 'cuda']).default('cpu'),
    )
    .addOption(
      new Option(
        '--precision <precision>',
        'of layout folders; bf16: within 0.2, 0.02 on average, cosines of 0.998',
      )
        .choices(['fp32', 'bf16'])
        .default('fp32'),
    )
    .option('--verbose', 'a line for every parameter')
    .option('--json', 'print every check as JSON')
    .action(async (paths: string[], flags: Flags) => {
      const { planMachine } = await import('../../machine/plan.ts')
      const { verify } = await import('../../verify/verify.ts')
      const { referenceFiles } = await import('../../verify/reference-files.ts')
      const asked = { device: flags.device, precision: 'fp32', threads: 0, workers: 0 } as const
      const { device } = flags.device === 'cpu' ? asked : planMachine(asked)
      const worst = new Set<Status>()
      /** A file that cannot be read does not hide the results of the others. */
      const orReported = async <T>(file: string, body: () => T | Promise<T>): Promise<T | null> => {
        try {
          return await body()
        } catch (error) {
          worst.add(1)
          if (flags.json)
            printJson({
              ...{ kind: 'verification', file, checks: [], notSupported: [], passed: false },
              error: messageOf(error),
            })
          else note(`error: ${messageOf(error)}`)
          return null
        }
      }
      const files: ReferenceFile[] = []
      for (const path of paths) files.push(...((await orReported(path, () => referenceFiles(path))) ?? []))
      const signal = stopSignal('stopping after this file')
      const show = counting('checking', 'files')
      for (const [done, { file, isFound }] of files.entries()) {
        if (files.length > 1) show(done, files.length)
        await pause(signal, { done, of: files.length, unit: 'files', continues: false })
        const result = await orReported(file, () => verify(file, { device, precision: flags.precision }))
        if (!result) continue
        worst.add(statusOf(result))
        if (flags.json) printJson({ kind: 'verification', ...result })
        else print(report(result, { verbose: flags.verbose ?? false, brief: isFound }))
      }
      if (files.length > 1) show(files.length, files.length)
      process.exitCode = statuses.findLast((status) => worst.has(status)) ?? 0
    })
}

const kindOf = ({ name }: Check) => name.split('.')[0]

/** The check of each kind that comes nearest to its tolerance. */
function worstOfEach(checks: readonly Check[]): Check[] {
  const excess = ({ largestDifference, tolerance }: Check) =>
    tolerance === 0 ? (largestDifference === 0 ? 0 : Number.POSITIVE_INFINITY) : largestDifference / tolerance
  return [...new Set(checks.map(kindOf))].flatMap((kind) =>
    checks
      .filter((check) => kindOf(check) === kind)
      .sort((a, b) => excess(b) - excess(a))
      .slice(0, 1),
  )
}

/** A line for the file, then a table of its checks; with `brief` (files found in a folder) only if one fails. */
function report(
  { file, checks, notSupported }: Verification,
  { verbose, brief }: { readonly verbose: boolean; readonly brief: boolean },
): string {
  const failed = checks.filter(({ passed }) => !passed)
  const shown = verbose ? checks : brief ? failed : worstOfEach(checks)
  const extra = verbose || brief ? [] : failed.filter((check) => !shown.includes(check))
  const rows = [...shown, ...extra].map((check) => {
    const count =
      verbose || failed.includes(check)
        ? ''
        : ` (worst of ${checks.filter((other) => kindOf(other) === kindOf(check)).length})`
    return [
      `  ${check.name}${count}`,
      check.largestDifference.toExponential(2),
      `${check.tolerance.toExponential(0)}${check.isRelative ? ' relative' : ''}`,
      check.passed ? 'ok' : 'FAILED',
    ]
  })
  const head = ['  what', 'largest difference', 'tolerance', '']
  return [
    `${file}: ${verdict({ total: checks.length, failed: failed.length, notSupported })}`,
    ...(rows.length > 0 ? [table([head, ...rows], [1, 2])] : []),
    ...failed.map(({ name, wrong }) => `  ${name}: ${wrong}`),
  ].join('\n')
}

function verdict(of: {
  readonly total: number
  readonly failed: number
  readonly notSupported: readonly string[]
}): string {
  const { total, failed, notSupported } = of
  const missing = notSupported.length > 0 ? `not supported yet: ${notSupported.join('; ')}` : null
  const checks = `${total} ${total === 1 ? 'check' : 'checks'}`
  const compared = failed > 0 ? `FAILED, ${failed} of ${checks}` : total > 0 ? `passed, ${checks}` : null
  if (!missing) return compared ?? 'nothing to check'
  if (!compared) return missing
  return failed > 0 ? `${compared}; ${missing}` : `${missing}; what was compared passed, ${checks}`
}
