// Parses command lines with the real parser, without running anything.
import type { Command } from 'commander'
import { program } from '../../src/cli/main.ts'

/** The words of a command line: quotes hold them together, ` \` at the end of a line continues it. */
export const wordsOf = (line: string): string[] =>
  [...line.replace(/\\\n/g, ' ').matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) =>
    word.replace(/['"]/g, ''),
  )

export const withinTree = (command: Command): Command[] => [command, ...command.commands.flatMap(withinTree)]

/** `['evaluate', 'knn']`. */
export const pathOf = (command: Command): string[] =>
  command.parent ? [...pathOf(command.parent), command.name()] : []

/** Commands without sub-commands, by their names: `evaluate knn`. */
export const leavesOf = (root: Command): Map<string, Command> =>
  new Map(
    withinTree(root)
      .filter(({ commands }) => commands.length === 0)
      .map((command) => [pathOf(command).join(' '), command]),
  )

function silent(): Command {
  const root = program()
  for (const each of withinTree(root)) {
    each.configureOutput({ writeOut: () => {}, writeErr: () => {} })
    if (each.commands.length === 0) each.action(() => {})
  }
  return root
}
let root: Command | null = null

/** Why `sherd ARGS` cannot be parsed, or null. */
export async function refusal(args: readonly string[]): Promise<string | null> {
  root ??= silent()
  try {
    await root.parseAsync(args, { from: 'user' })
    return null
  } catch (error) {
    root = null // options that were given are remembered until an action
    return (error as { exitCode?: number }).exitCode === 0 ? null : (error as Error).message
  }
}
