/** Checks the limit of the address space (`ulimit -v`), below which LibTorch hangs or crashes without an error. */
import { existsSync, readFileSync } from 'node:fs'
import { SherdError } from '../errors.ts'

/** For libraries, thread stacks and a small model; LibTorch hung with less. */
const NEEDED_BYTES = 3e9

/** The soft limit in bytes, from the text of `/proc/PID/limits`; Infinity if unlimited. */
export function addressLimit(limits: string): number {
  const value = limits.match(/^Max address space\s+(\d+)\s/m)?.[1]
  return value === undefined ? Number.POSITIVE_INFINITY : Number(value)
}

const ownLimits = () => (existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : '')

/** Throws `ENGINE_MISSING`. */
export function expectAddressSpace(limits = ownLimits()): void {
  const limit = addressLimit(limits)
  if (limit < NEEDED_BYTES)
    throw new SherdError(
      'ENGINE_MISSING',
      `This process may use ${(limit / 1e9).toFixed(1)} GB of address space (ulimit -v), and LibTorch needs at least ${NEEDED_BYTES / 1e9} GB: raise the limit, such as by "ulimit -v unlimited", or ask your scheduler for more memory.`,
    )
}
