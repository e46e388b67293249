/** `sherd setup`: installs what training needs. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { note, print } from '../output.ts'

export function addSetup(root: Command): void {
  describeCommand(root.command('setup'), {
    group: 'Machine',
    page: 'machine.md',
    examples: ['sherd setup  # install what training needs'],
  })
    .description('install LibTorch and a compiler where that is possible, and compile the addon')
    .option('--quiet', 'say nothing when there is nothing to do')
    .action(async (flags: { quiet?: boolean }) => {
      const { setUp } = await import('../../machine/setup.ts')
      const { changed, version } = setUp((line) => note(`sherd: ${line} …`))
      if (changed || !flags.quiet) print(`sherd: ready, on LibTorch ${version}`)
    })
}
