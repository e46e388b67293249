/** Memory of this process, and what is left for it. */
import { existsSync, readFileSync } from 'node:fs'

/** The peak resident set of this process. */
export function peakResidentBytes(): number {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : ''
  const kilobytes = status.match(/^VmHWM:\s+(\d+) kB$/m)?.[1]
  return kilobytes ? Number(kilobytes) * 1024 : process.resourceUsage().maxRSS * 1024
}

/** What this process may still take: limits of a container count. */
export const availableBytes = (): number => process.availableMemory()
