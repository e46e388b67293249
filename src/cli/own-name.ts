/** The program's name as the user's shell finds it, and arguments as it takes them. */
import { accessSync, constants, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { packageRoot } from '../package-root.ts'

let name: string | undefined

/** `sherd` where that is on the PATH and is this program, else `npx sherd`. */
export function ownName(): string {
  name ??= findOwnName()
  return name
}

function findOwnName(): string {
  const isWindows = process.platform === 'win32'
  for (const dir of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    // `npx` and `npm run` put such folders on the PATH of what they start, not of the user's shell.
    if (/[\\/](node_modules[\\/]\.bin|node-gyp-bin)[\\/]?$/.test(dir)) continue
    const path = join(dir, isWindows ? 'sherd.cmd' : 'sherd')
    try {
      accessSync(path, constants.X_OK)
      // The first of this name is what the shell takes, whatever it is.
      return isWindows || realpathSync(path).startsWith(realpathSync(packageRoot())) ? 'sherd' : 'npx sherd'
    } catch {
      // not here
    }
  }
  return 'npx sherd'
}

/** A text of the library, in which commands in quotation marks or on lines of their own begin as they are typed here. */
export const asTyped = (text: string): string => text.replace(/(^ +|")sherd (?=[a-z-])/gm, `$1${ownName()} `)

export { quoted } from '../files/shell.ts'
