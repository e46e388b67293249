/** `sherd completion`: a script with which a shell completes commands, options and values, without starting sherd. */
import { Argument, type Command } from 'commander'
import { describeCommand } from '../help.ts'
import { printCommand } from '../output.ts'

const howTo = {
  bash: [
    'For every new shell, where the package bash-completion is installed:',
    '  sherd completion bash > ~/.local/share/bash-completion/completions/sherd',
    'Else, in ~/.bashrc, after that file was written anywhere:  source FILE',
  ],
  zsh: [
    'For every new shell: write it as _sherd into a folder of $fpath, before compinit runs in ~/.zshrc:',
    '  mkdir -p ~/.zfunc && sherd completion zsh > ~/.zfunc/_sherd',
    '  fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit',
  ],
  fish: ['For every new shell:', '  sherd completion fish > ~/.config/fish/completions/sherd.fish'],
} as const
type Shell = keyof typeof howTo
const shells = Object.keys(howTo) as Shell[]

export function addCompletion(root: Command): void {
  describeCommand(root.command('completion'), {
    group: 'Machine',
    page: 'cli.md#completion',
    examples: [
      'sherd completion bash > ~/.local/share/bash-completion/completions/sherd  # for every new shell',
      'sherd completion zsh > ~/.zfunc/_sherd  # a folder of $fpath',
      'sherd completion fish > ~/.config/fish/completions/sherd.fish  # for every new shell',
    ],
  })
    .description('print a script with which a shell completes what you type')
    .addArgument(new Argument('<shell>', 'of which shell').choices(shells))
    .action(async (shell: Shell) => printCommand(await completionScript(root, shell)))
}

export async function completionScript(root: Command, shell: Shell): Promise<string> {
  const { presetNames } = await import('../../config/presets.ts')
  const { describeKeys } = await import('../../config/keys.ts')
  const { completedCommands } = await import('./words.ts')
  const scripts = {
    bash: async () => (await import('./bash.ts')).bashCompletion,
    zsh: async () => (await import('./zsh.ts')).zshCompletion,
    fish: async () => (await import('./fish.ts')).fishCompletion,
  }
  const keys = new Map<string, Set<string>>()
  for (const { key, values } of describeKeys()) {
    const known = keys.get(key) ?? new Set()
    for (const value of values ?? []) if (/^[\w.-]+$/.test(value)) known.add(value)
    keys.set(key, known)
  }
  const script = (await scripts[shell]())({
    commands: completedCommands(root),
    presets: presetNames,
    keys: new Map([...keys].map(([key, values]) => [key, [...values]])),
  })
  const head = [
    `Completion of sherd ${root.version()} for ${shell}. Make it again after an update.`,
    ...howTo[shell],
  ]
  return [
    ...(shell === 'zsh' ? ['#compdef sherd'] : []),
    ...head.map((line) => `# ${line}`),
    '',
    script.trimEnd(),
  ].join('\n')
}
