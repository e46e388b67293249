/** CPU features from /proc/cpuinfo. */
import { existsSync, readFileSync } from 'node:fs'

let flags: ReadonlySet<string> | undefined

/** Such as `avx512f`; empty without /proc/cpuinfo. */
export function cpuFlags(): ReadonlySet<string> {
  flags ??= new Set(
    (existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '')
      .match(/^(?:flags|Features)\s*:\s*(.*)$/m)?.[1]
      ?.split(' '),
  )
  return flags
}

/** The bfloat16 unit of the CPU, or null. */
export function cpuBfloat16(): 'amx_bf16' | 'avx512_bf16' | null {
  return (['amx_bf16', 'avx512_bf16'] as const).find((flag) => cpuFlags().has(flag)) ?? null
}
