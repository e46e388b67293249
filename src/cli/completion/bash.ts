/** Completion for bash, from version 3.2 of macOS on. */
import type { Completed, CompletedCommand, Values } from './words.ts'

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** What the next word may be. */
const assigned = (values: Values): string =>
  typeof values === 'string' ? `kind=${values}` : `kind=list list=${quote(values.join(' '))}`

function branch({ path, commands, options, argument }: CompletedCommand): string {
  const cases = options
    .filter(({ values }) => values !== null)
    .map(({ names, values }) => `      ${names.join('|')}) ${assigned(values!)} ;;`)
  const first = commands.length > 0 ? commands.map(({ name }) => name) : argument
  return [
    `    ${quote(path)})`,
    `      options=${quote(options.flatMap(({ names }) => names).join(' '))}`,
    `      ${first === null ? 'kind=options' : assigned(first)}`,
    ...(cases.length > 0 ? ['      case "$option" in', ...cases, '      esac'] : []),
    '      ;;',
  ].join('\n')
}

export function bashCompletion({ commands, presets, keys }: Completed): string {
  const groups = commands.filter(({ path, commands }) => path !== '' && commands.length > 0)
  const repeated = commands.flatMap(({ path, options }) =>
    options
      .filter(({ isRepeated }) => isRepeated)
      .flatMap(({ names }) => names.map((name) => `'${path}:${name}'`)),
  )
  const keyCases = [...keys]
    .filter(([, values]) => values.length > 0)
    .map(([key, values]) => `    ${key}) list=${quote(values.join(' '))} ;;`)
  return `\
_sherd() {
  local line="\${COMP_LINE:0:COMP_POINT}" word='' command option='' kind=none list='' options='' at count
  local -a words
  read -ra words <<< "$line"
  COMPREPLY=()
  count=\${#words[@]}
  if [[ "$line" != *[[:space:]] ]]; then
    count=$((count - 1))
    word="\${words[count]}"
  fi
  command=''
  if ((count > 1)); then command="\${words[1]}"; fi
  case "$command" in
    ${groups.map(({ path }) => path).join('|')}) if ((count > 2)); then command="$command \${words[2]}"; fi ;;
  esac
  # The option whose value comes next: the word before, or one that takes several.
  for ((at = count - 1; at > 0; at--)); do
    if [[ "\${words[at]}" == --* ]]; then option="\${words[at]}"; break; fi
  done
  case "$command:$option" in
    ${repeated.join('|')}) ;;
    *) if ((at < count - 1)); then option=''; fi ;;
  esac
  case "$command" in
${commands.map(branch).join('\n')}
    *) return ;;
  esac
  if [[ "$kind" == options || "$word" == -* ]]; then kind=list list="$options"; fi
  case "$kind" in
    folder) compopt -o filenames 2> /dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -d -- "$word")) ;;
    file) compopt -o filenames 2> /dev/null; local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$word")) ;;
    preset) COMPREPLY=($(compgen -W ${quote(presets.join(' '))} -- "$word")) ;;
    list) COMPREPLY=($(compgen -W "$list" -- "$word")) ;;
    key) _sherd_key "$word" ;;
  esac
}

# key=value: bash takes the sign for the end of a word.
_sherd_key() {
  local list='' isKey=''
  case "$1" in *=*) ;; *) isKey=1 ;; esac
  case "\${1%%=*}" in
${keyCases.join('\n')}
  esac
  if [[ -n "$isKey" ]]; then
    compopt -o nospace 2> /dev/null
    COMPREPLY=($(compgen -S = -W ${quote([...keys.keys()].join(' '))} -- "$1"))
  else
    COMPREPLY=($(compgen -W "$list" -- "\${1#*=}"))
    if [[ "$COMP_WORDBREAKS" != *=* ]]; then COMPREPLY=("\${COMPREPLY[@]/#/\${1%%=*}=}"); fi
  fi
}

complete -F _sherd sherd
`
}
