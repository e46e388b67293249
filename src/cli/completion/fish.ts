/** Completion for fish. */
import { type Completed, type CompletedCommand, short, type Values } from './words.ts'

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

/** `-x`: no files. */
function words(values: Values): string {
  if (typeof values !== 'string') return `-x -a ${quote(values.join(' '))}`
  const known = {
    folder: `-x -a '(__fish_complete_directories)'`,
    file: '-r -F',
    preset: `-x -a '(__sherd_presets)'`,
    key: `-x -a '(__sherd_keys)'`,
    none: '-x',
  }
  return known[values]
}

function lines({ path, commands, options, argument }: CompletedCommand): string[] {
  const at = `complete -c sherd -n ${quote(`__sherd_at ${path === '' ? "''" : `'${path}'`}`)}`
  return [
    ...commands.map(({ name, what }) => `${at} -a ${name} -d ${quote(short(what))}`),
    ...(argument === null ? [] : [`${at} ${words(argument).replace('-x ', '')}`.replace('-r -F', '-F')]),
    ...options.flatMap(({ names, what, values }) =>
      names.map(
        (name) =>
          `${at} -l ${name.slice(2)} -d ${quote(short(what))}${values === null ? '' : ` ${words(values)}`}`,
      ),
    ),
  ]
}

export const fishCompletion = ({ commands, presets, keys }: Completed): string => `\
function __sherd_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l command $words[1]
    if contains -- "$command" ${commands
      .filter((each) => each.path !== '' && each.commands.length > 0)
      .map(({ path }) => path)
      .join(' ')}
        set command (string join ' ' -- $words[1..2])
    end
    test "$command" = "$argv[1]"
end

function __sherd_presets
    printf '%s\\n' ${presets.join(' ')}
end

function __sherd_keys
    printf '%s\\n' ${[...keys].flatMap(([key, values]) => (values.length > 0 ? values.map((value) => quote(`${key}=${value}`)) : [`${key}=`])).join(' ')}
end

complete -c sherd -f
${commands.flatMap(lines).join('\n')}
`
