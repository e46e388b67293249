/** Opens a page in the user's browser where one can be seen. */
import { isUnattended } from './terminal.ts'

const isSet = (name: string): boolean => (process.env[name] ?? '') !== ''

/** Whether someone sits in front of a display: not in CI, not without a terminal, not over SSH. */
export function hasDisplay(): boolean {
  if (isUnattended() || isSet('SSH_CONNECTION') || isSet('SSH_TTY')) return false
  return process.platform !== 'linux' || isSet('DISPLAY') || isSet('WAYLAND_DISPLAY')
}

/** Returns whether a browser was started. It is not waited for. */
export async function openPage(path: string): Promise<boolean> {
  if (!hasDisplay()) return false
  try {
    const { default: open } = await import('open')
    const child = await open(path)
    child.on('error', () => {}) // no browser: the path has been printed
    return true
  } catch {
    return false
  }
}
