/** Completion for zsh. */
import { type Completed, type CompletedCommand, short, type Values } from './words.ts'

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
const bare = (text: string): string =>
  short(text)
    .replaceAll('…', '...')
    .replace(/[[\]:\\`$"]/g, ' ')

function action(values: Values): string {
  if (typeof values !== 'string') return `(${values.join(' ')})`
  const actions = {
    folder: '_files -/',
    file: '_files',
    preset: '_sherd_presets',
    key: '_sherd_keys',
    none: ' ',
  }
  return actions[values]
}

const listed = (commands: CompletedCommand['commands']): string =>
  commands.map(({ name, what }) => quote(`${name}:${bare(what)}`)).join(' ')

function branch({ path, options, argument }: CompletedCommand): string {
  const specs = options.flatMap(({ names, what, values, isRepeated }) =>
    names.map((name) => {
      const before = isRepeated || name === '--set' ? '*' : names.length > 1 ? `(${names.join(' ')})` : ''
      return quote(
        `${before}${name}[${bare(what)}]${values === null ? '' : `:${isRepeated ? '*--*:' : ''}value:${action(values)}`}`,
      )
    }),
  )
  if (argument !== null) specs.push(quote(`*:argument:${action(argument)}`))
  return `    ${quote(path)})\n      _arguments -S \\\n${specs.map((spec) => `        ${spec}`).join(' \\\n')} ;;`
}

export function zshCompletion({ commands, presets, keys }: Completed): string {
  const [root, ...others] = commands as [CompletedCommand, ...CompletedCommand[]]
  const groups = others.filter((each) => each.commands.length > 0)
  const keyCases = [...keys]
    .filter(([, values]) => values.length > 0)
    .map(([key, values]) => `      ${key}) compadd -- ${values.map(quote).join(' ')} ;;`)
  return `\
_sherd() {
  local -a commands
  if ((CURRENT == 2)); then
    commands=(${listed(root.commands)})
    _describe command commands
    return
  fi
  local command="$words[2]"
  shift words
  ((CURRENT--))
  case "$command" in
${groups
  .map(
    (group) => `    ${group.path})
      if ((CURRENT == 2)); then
        commands=(${listed(group.commands)})
        _describe command commands
        return
      fi
      command="$command $words[2]"
      shift words
      ((CURRENT--)) ;;`,
  )
  .join('\n')}
  esac
  case "$command" in
${others
  .filter((each) => each.commands.length === 0)
  .map(branch)
  .join('\n')}
  esac
}

_sherd_presets() { compadd -- ${presets.join(' ')} }

_sherd_keys() {
  if compset -P '*='; then
    case "\${IPREFIX%=}" in
${keyCases.join('\n')}
    esac
  else
    compadd -S = -- ${[...keys.keys()].join(' ')}
  fi
}

if [[ "$funcstack[1]" == _sherd ]]; then _sherd "$@"; else compdef _sherd sherd; fi
`
}
