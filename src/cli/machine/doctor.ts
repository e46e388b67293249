/** `sherd doctor`: what is installed, what is missing, and how to fix it. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { paint, print, printJson } from '../output.ts'

const marks = { ok: ['green', 'ok  '], warn: ['yellow', 'slow'], fail: ['red', 'FAIL'] } as const

export function addDoctor(root: Command): void {
  describeCommand(root.command('doctor'), {
    group: 'Machine',
    page: 'machine.md',
    examples: ['sherd doctor  # what is here, what is missing, and how to get it'],
  })
    .description('examine this machine; exit status 1 when training would not work')
    .option('--json', 'print the findings as JSON')
    .action(async (flags: { json?: boolean }) => {
      const { examine } = await import('../../machine/doctor.ts')
      const findings = examine()
      if (findings.some(({ status }) => status === 'fail')) process.exitCode = 1
      if (flags.json) return printJson({ kind: 'doctor', findings })
      const width = Math.max(...findings.map(({ name }) => name.length))
      for (const { name, status, value, fix } of findings) {
        const [colour, mark] = marks[status]
        print(`${paint(colour, mark)}  ${name.padEnd(width)}  ${value}`)
        if (fix) print(`      ${' '.repeat(width)}  → ${fix}`)
      }
    })
}
