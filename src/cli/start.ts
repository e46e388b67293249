/** What `sherd` without arguments shows: five things to try with one's own images. Fits 40 columns. */
import { paint, print, printCommand } from './output.ts'
import { ownName } from './own-name.ts'

const things: readonly (readonly [what: string, ...lines: string[]])[] = [
  ['See what is in it, and what is broken', 'inspect DIR'],
  ['Watch a small model learn from it', 'demo --data DIR'],
  ['Ask what to train, and how long', 'plan --data DIR'],
  ['Train', 'pretrain --data DIR --out RUN'],
  ['Search it, find duplicates', 'index DIR --model RUN \\', '--out INDEX'],
]

export function showStart(): void {
  print(`${paint('bold', 'sherd')} learns from images without labels.`)
  print('With DIR, a folder of your images:')
  for (const [i, [what, command, ...more]] of things.entries()) {
    print('')
    print(`${i + 1}. ${what}`)
    printCommand(` ${ownName()} ${command}`)
    for (const line of more) printCommand(`   ${line}`)
  }
  print('')
  print('No images at hand?')
  printCommand(` ${ownName()} demo`)
  print('All commands, and help for each:')
  printCommand(` ${ownName()} --help`)
}
