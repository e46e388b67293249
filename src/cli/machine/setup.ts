/** `sherd setup`: installs what training needs. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { note, print, printJson } from '../output.ts'

export function addSetup(root: Command): void {
  describeCommand(root.command('setup'), {
    group: 'Machine',
    page: 'machine.md',
    examples: [
      'sherd setup  # install what training needs',
      'sherd setup --prebuilt  # for machines with this LibTorch and no compiler: native/prebuilt/',
    ],
  })
    .description('install LibTorch and a compiler where that is possible, and compile the addon')
    .option('--prebuilt', 'compile the addon for other machines, to native/prebuilt/')
    .option('--quiet', 'say nothing when there is nothing to do')
    .option('--json', 'print the result as JSON')
    .action(async (flags: { prebuilt?: boolean; quiet?: boolean; json?: boolean }) => {
      const { setUp, setUpPrebuilt } = await import('../../machine/setup.ts')
      const { changed, version } = (flags.prebuilt ? setUpPrebuilt : setUp)((line) =>
        note(`sherd: ${line} …`),
      )
      if (flags.json) printJson({ kind: 'setup', changed, libtorch: version })
      else if (changed || !flags.quiet) print(`sherd: ready, on LibTorch ${version}`)
    })
}
