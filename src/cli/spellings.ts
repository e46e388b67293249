/** Second spellings that help does not list: an argument written as an option, an option by the name that it had. */
import { type Command, Option } from 'commander'

/** The first argument, declared `[optional]`, may be written as an option: `embed DIR` or `embed --data DIR`, as in other commands. */
export function argumentOrOption(
  command: Command,
  flags: string,
  { required = false }: { readonly required?: boolean } = {},
): Command {
  const option = new Option(flags).hideHelp()
  const argument = command.registeredArguments[0]!
  const name = argument.name()
  argument.description += `; or ${option.long} ${name.toUpperCase()}${required ? ' (required)' : ''}`
  const value = () => command.getOptionValue(option.attributeName()) as string | undefined
  return command.addOption(option).hook('preAction', () => {
    if (value() !== undefined && command.args.length > 0)
      command.error(`error: '${name}' and option '${flags}' exclude each other`)
    if (value() !== undefined) command.processedArgs[0] = value()
    if (required && !command.processedArgs[0])
      command.error(`error: missing required argument '${name}'`, { code: 'commander.missingArgument' })
  })
}

/** `flags` sets the option `long`, too. */
export function oldSpelling(command: Command, flags: string, long: string): Command {
  const meant = command.options.find((option) => option.long === long)!
  const old = new Option(flags).hideHelp()
  if (meant.parseArg) old.parseArg = meant.parseArg
  old.attributeName = () => meant.attributeName()
  return command.addOption(old)
}
