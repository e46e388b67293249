/** `sherd verify`: this installation against numbers of an independent PyTorch. */
import { type Command, Option } from 'commander'
import { messageOf } from '../../errors.ts'
import type { Check } from '../../verify/verify.ts'
import { note, print, printJson, table } from '../output.ts'

interface Flags {
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly verbose?: boolean
  readonly json?: boolean
}

const groups = ['loss', 'pred', 'mask', 'latent', 'grad', 'losses', 'final'] as const

export function addVerify(root: Command): void {
  root
    .command('verify')
    .description('check this installation against reference files')
    .argument('<file...>', 'reference files (.safetensors)')
    .addOption(
      new Option('--device <device>', 'where to compute').choices(['auto', 'cpu', 'cuda']).default('cpu'),
    )
    .option('--verbose', 'a line for every parameter')
    .option('--json', 'print every check as JSON')
    .action(async (files: string[], flags: Flags) => {
      const { planMachine } = await import('../../machine/plan.ts')
      const { verifyFile } = await import('../../verify/verify.ts')
      const asked = { device: flags.device, precision: 'fp32', threads: 0, workers: 0 } as const
      const { device } = flags.device === 'cpu' ? asked : planMachine(asked)
      for (const file of files) {
        try {
          const result = verifyFile(file, device)
          if (!result.passed) process.exitCode = 1
          if (flags.json) printJson(result)
          else print(report(file, result.checks, flags.verbose ?? false))
        } catch (error) {
          process.exitCode = 1 // one file that cannot be read does not hide the others
          if (flags.json) printJson({ file, checks: [], passed: false, error: messageOf(error) })
          else note(`error: ${messageOf(error)}`)
        }
      }
    })
}

const kindOf = ({ name }: Check) => name.split('.')[0]

/** The check of each kind that comes nearest to its tolerance. */
function worstOfEach(checks: readonly Check[]): Check[] {
  const excess = ({ largestDifference, tolerance }: Check) =>
    tolerance === 0 ? (largestDifference === 0 ? 0 : Number.POSITIVE_INFINITY) : largestDifference / tolerance
  return groups.flatMap((kind) =>
    checks
      .filter((check) => kindOf(check) === kind)
      .sort((a, b) => excess(b) - excess(a))
      .slice(0, 1),
  )
}

function report(file: string, checks: readonly Check[], verbose: boolean): string {
  const shown = verbose ? checks : worstOfEach(checks)
  const failed = checks.filter(({ passed }) => !passed)
  const extra = verbose ? [] : failed.filter((check) => !shown.includes(check))
  const rows = [...shown, ...extra].map((check) => {
    const count =
      verbose || failed.includes(check)
        ? ''
        : ` (worst of ${checks.filter((other) => kindOf(other) === kindOf(check)).length})`
    return [
      `  ${check.name}${count}`,
      check.largestDifference.toExponential(2),
      check.tolerance.toExponential(0),
      check.passed ? 'ok' : 'FAILED',
    ]
  })
  const head = ['  what', 'largest difference', 'tolerance', '']
  const verdict =
    failed.length === 0
      ? `passed, ${checks.length} checks`
      : `FAILED, ${failed.length} of ${checks.length} checks`
  return `${file}: ${verdict}\n${table([head, ...rows], [1, 2])}`
}
