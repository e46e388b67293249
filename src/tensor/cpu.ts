/** What this machine's CPU can do, as the kernel of the operating system tells it. */
import { existsSync, readFileSync } from 'node:fs'

let flags: ReadonlySet<string> | undefined

/** The feature flags of the CPU, such as `avx512f`; empty where there is no /proc/cpuinfo. */
export function cpuFlags(): ReadonlySet<string> {
  flags ??= new Set(
    (existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '')
      .match(/^(?:flags|Features)\s*:\s*(.*)$/m)?.[1]
      ?.split(' '),
  )
  return flags
}

/** Which bfloat16 matrix unit the CPU has, or `null`. */
export function cpuBfloat16(): 'amx_bf16' | 'avx512_bf16' | null {
  return (['amx_bf16', 'avx512_bf16'] as const).find((flag) => cpuFlags().has(flag)) ?? null
}
