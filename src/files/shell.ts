/** Arguments of commands as a shell takes them. */

export const quoted = (argument: string): string =>
  argument === '' || /[^\w./~:=,@%+-]/.test(argument) || argument.startsWith('~')
    ? `'${argument.replaceAll("'", "'\\''")}'`
    : argument
