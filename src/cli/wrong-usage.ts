/** Explains a command line that cannot be parsed: what was meant, and what to write instead. */
import type { Command } from 'commander'
import { keyNamed } from '../config/common-names.ts'
import { closest, SherdError } from '../errors.ts'
import { descriptionOf } from './help.ts'
import { ownName } from './own-name.ts'

/** What other programs call a command. */
const otherCommands: Readonly<Record<string, string>> = {
  ...{ train: 'pretrain', fit: 'pretrain', run: 'pretrain', resume: 'pretrain --resume' },
  ...{ eval: 'evaluate', test: 'evaluate', probe: 'evaluate linear', 'k-nn': 'evaluate knn' },
  ...{ 'fine-tune': 'evaluate finetune', tune: 'evaluate finetune' },
  ...{ predict: 'classify', infer: 'classify', features: 'embed', extract: 'embed', encode: 'embed' },
  ...{ find: 'search', similar: 'search', dedup: 'duplicates', dedupe: 'duplicates', cluster: 'clusters' },
  ...{ server: 'serve', playground: 'serve', convert: 'import', load: 'import', hf: 'export huggingface' },
  ...{
    benchmark: 'bench',
    check: 'doctor',
    diagnose: 'doctor',
    info: 'doctor',
    install: 'setup',
    init: 'setup',
  },
  ...{ keys: 'presets --keys', config: 'presets --keys', samples: 'sample-data' },
  ...{
    info: 'inspect',
    show: 'inspect',
    describe: 'inspect',
    look: 'inspect',
    estimate: 'plan',
    diff: 'compare',
  },
  ...{ draw: 'reconstruct', version: '--version' },
}

/** What other programs call an option (for keys of the configuration: src/config/common-names.ts), with what it may be here: the first that the command has is meant. */
const otherOptions: Readonly<Record<string, readonly string[]>> = {
  ...names(['image-size', 'img-size', 'resolution'], ['--size', '--short-side']),
  ...names(
    ['input', 'images', 'image-dir', 'folder', 'dir', 'dataset', 'data-dir', 'data-path', 'i'],
    ['--data'],
  ),
  ...names(['output', 'output-dir', 'out-dir', 'save-dir', 'o', 'dest'], ['--out']),
  ...names(['checkpoint', 'ckpt', 'weights', 'pretrained', 'm'], ['--model', '--init']),
  ...names(['from', 'finetune-from'], ['--init', '--model']),
  ...names(['continue'], ['--resume']),
  ...names(['gpu', 'cuda'], ['--device cuda']),
  ...names(['cpu'], ['--device cpu']),
  ...names(['fp16', 'bf16', 'amp', 'half'], ['--precision bf16']),
  ...names(['force', 'f'], ['--overwrite']),
  ...names(['k', 'n', 'top', 'topk', 'top-k', 'limit', 'num', 'clusters'], ['--count']),
  ...names(['silent', 'q'], ['--quiet']),
}

/** Options of some commands for what is a key in others. */
const optionsOfKeys: Readonly<Record<string, readonly string[]>> = {
  'optim.baseLearningRate': ['--rate', '--rates'],
  'optim.minLearningRate': ['--min-rate'],
  'optim.warmupFraction': ['--warm-up'],
  'optim.warmupSteps': ['--warm-up'],
  'optim.weightDecay': ['--weight-decay'],
  'train.batchSize': ['--batch'],
  'train.accumulate': ['--accumulate'],
  'train.epochs': ['--epochs'],
  'train.steps': ['--steps'],
  'train.seed': ['--seed', '--seeds'],
  'train.threads': ['--threads'],
}

function names(others: readonly string[], meant: readonly string[]): Record<string, readonly string[]> {
  return Object.fromEntries(others.map((other) => [other, meant]))
}

export const nameOf = (command: Command): string =>
  command.parent?.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name()

const has = (command: Command, option: string): boolean =>
  command.options.some(({ long, short }) => [long, short].includes(option.split(' ')[0]))

const otherOption = (command: Command, flag: string): string | undefined => {
  const name = flag.replace(/^--?/, '').replace(/=.*$/, '').toLowerCase().replaceAll('_', '-')
  const bare = (text: string) => text.replaceAll('-', '')
  const own = command.options.find(({ long, hidden }) => !hidden && bare(long!) === bare(name))
  const key = keyNamed(name)
  const meant = [...(otherOptions[name] ?? []), ...((key !== null && optionsOfKeys[key]) || [])]
  // Where a model is given, its keys say what it is, and those of training are read by nobody.
  const isRead = key !== null && (!has(command, '--model') || /^(?:model|decoder|data)\./.test(key))
  return (
    own?.long ??
    meant.find((each) => has(command, each)) ??
    (isRead && has(command, '--set') ? `--set ${key}=…` : undefined)
  )
}

/** The sub-command that takes this option, where a command needs one first. */
function needsSubCommand(command: Command, flag: string): string | null {
  const taking = command.commands.filter((each) => has(each, flag))
  if (taking.length === 0 || !command.parent) return null
  return `${flag} comes after what to ${command.name()}: ${ownName()} ${nameOf(command)} ${taking[0]!.name()} ${flag} …`
}

function otherCommand(command: Command, word: string): string | undefined {
  const parent = (command.parent ?? command).commands.find(
    (each) => each !== command && each.commands.some((sub) => sub.name() === word),
  )
  if (parent) return `${parent.name()} ${word}`
  return command.parent ? undefined : otherCommands[word.toLowerCase()]
}

/** For `trian`, a slip of what other programs call `pretrain`. */
function nearCommand(command: Command, word: string): string | undefined {
  const names = command.commands.map((each) => each.name())
  // Two slips make anything of a short name.
  const others = command.parent ? [] : Object.keys(otherCommands).filter((name) => name.length > 4)
  const found = word.length > 3 ? closest(word, [...names, ...others]) : undefined
  return found && (otherCommands[found] ?? found)
}

/** As an error of sherd, with the command's own help named. */
export function wrongUsage(
  command: Command,
  { code, message }: { readonly code: string; readonly message: string },
): SherdError {
  const [first = '', similar = ''] = message.replace(/^error: /, '').split('\n')
  const text = first.replace(/\.$/, '')
  const word = text.match(/'([^']*)'/)?.[1] ?? ''
  const isRoot = !command.parent
  const help = isRoot
    ? `"${ownName()} --help" lists the commands.`
    : command.commands.length > 0
      ? `It has ${command.commands.map((each) => each.name()).join(', ')}.`
      : `"${ownName()} ${nameOf(command)} --help" explains its options.`
  const example = descriptionOf(command)
    ?.examples[0]?.replace(/\s+#.*$/, '')
    .replace(/^sherd/, ownName())
  const isCommand = code === 'commander.unknownCommand'
  const isOption = code === 'commander.unknownOption'
  const meant = isCommand ? otherCommand(command, word) : isOption ? otherOption(command, word) : undefined
  const lacks = code === 'commander.missingArgument' || text.startsWith('required option')
  const near = isCommand && !similar ? nearCommand(command, word) : undefined
  const hint = meant
    ? `Write ${isCommand ? `"${ownName()} ${meant}"` : meant}.`
    : similar || near
      ? near
        ? `Did you mean ${near}?`
        : similar.slice(1, -1)
      : lacks && example
        ? `For example: ${example}`
        : ''
  const what = (isOption && needsSubCommand(command, word)) || [`${text}.`, hint].filter(Boolean).join(' ')
  return new SherdError('USAGE', `${what}\n${help}`)
}
