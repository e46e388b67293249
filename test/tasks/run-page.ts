/**
 * Runs the commands of a page of docs/tasks/, in their order, in one folder: what is fenced as `sh`. "npx sherd" is this program, in this
 * process; other lines go to a shell. Nothing is changed but sizes, by `smaller`: fewer images, steps and epochs, and a model of a few
 * thousand parameters. Its options take the place of those that a command has, or are added to its end.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'
import { inProcess, type Outcome, set, tinyModel } from '../cli/sherd.ts'

export const textOfPage = (name: string): string =>
  readFileSync(join(packageRoot(), 'docs/tasks', name), 'utf8')

/** The lines of the blocks, continued ones joined, as words of a shell without variables. */
export function commandsOf(page: string): string[] {
  const blocks = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, text]) => text!)
  return blocks.flatMap((block) =>
    block
      .replaceAll('\\\n', ' ')
      .split('\n')
      .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
      .filter(Boolean),
  )
}

/** The code of the block ```` ```ts NAME ````. */
export function fileOf(page: string, name: string): string {
  const [, text] = page.match(new RegExp(`^\`\`\`ts ${name}\n(.*?)^\`\`\``, 'ms')) ?? []
  if (text === undefined) throw new Error(`There is no file ${name} on the page.`)
  return text
}

/** Quotes group words; nothing else of a shell is on the pages. */
export const wordsOf = (command: string): string[] =>
  [...command.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replace(/['"]/g, ''))

export interface Smaller {
  /** By the words that a command begins with. */
  readonly commands: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** To those that make a model: which one. Trained on eight images at once. */
  readonly model: readonly string[]
}

const fewEpochs = { '--epochs': 2, '--seeds': 1 }
export const smallerPhotos: Smaller = {
  commands: {
    'sample-data': { '--count': 60 },
    pretrain: { '--steps': 12 },
    'evaluate linear': { '--seeds': 1 },
    'evaluate finetune': fewEpochs,
    'evaluate scratch': fewEpochs,
  },
  model: tinyModel(),
}

function madeSmaller(args: readonly string[], { commands, model }: Smaller): string[] {
  const given = args.join(' ')
  const made = [...args]
  const options = Object.entries(commands).find(([words]) => given.startsWith(words))?.[1] ?? {}
  for (const [option, value] of Object.entries(options)) {
    const at = made.indexOf(option)
    if (at >= 0) made[at + 1] = String(value)
    else made.push(option, String(value))
  }
  if (given.startsWith('pretrain ')) return [...made, ...model, ...set({ 'train.batchSize': 8 })]
  return args.includes('random') ? [...made, ...model] : made
}

export interface Ran {
  readonly command: string
  readonly outcome: Outcome
}

/** Stops at the first command that fails, and says how. `skip`: what the test does itself. */
export async function runPage(
  name: string,
  {
    cwd,
    smaller,
    skip = () => false,
  }: { cwd: string; smaller: Smaller; skip?: (command: string) => boolean },
): Promise<Ran[]> {
  const done: Ran[] = []
  for (const command of commandsOf(textOfPage(name))) {
    if (skip(command)) continue
    if (!command.startsWith('npx sherd ')) {
      execFileSync('bash', ['-c', command], { cwd })
      continue
    }
    const args = wordsOf(command.slice('npx sherd '.length))
    const outcome = await inProcess(madeSmaller(args, smaller), { cwd })
    if (outcome.status !== 0)
      throw new Error(`${command}\nended with ${outcome.status}:\n${outcome.stderr}${outcome.stdout}`)
    done.push({ command, outcome })
  }
  return done
}
