import { readdirSync, readlinkSync } from 'node:fs'

/** How many descriptors of this process are of a file, or of files below a folder; whatever else the process opens and closes. Only on Linux. */
export const descriptorsOf = (path: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return target === path || target.startsWith(`${path}/`)
    } catch {
      return false // closed meanwhile
    }
  }).length
