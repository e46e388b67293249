/** What a run of the benchmark is on: the machine, and what its device multiplies, measured by a program of its own. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { MachineDescription } from '../src/machine/describe.ts'
import { packageRoot } from '../src/package-root.ts'

export interface Device {
  readonly kind: 'cpu' | 'cuda'
  readonly machine: MachineDescription
  /** The best rate of large products. */
  readonly gemmGflops: { readonly float32: number; readonly bfloat16: number }
}

/** Both measurements of the same device as one: other programs can only have slowed it down. */
export const bestOf = (a: Device, b: Device): Device => ({
  ...a,
  gemmGflops: {
    float32: Math.max(a.gemmGflops.float32, b.gemmGflops.float32),
    bfloat16: Math.max(a.gemmGflops.bfloat16, b.gemmGflops.bfloat16),
  },
})

/** Measures. Ends the program when LibTorch has no such device. */
export function measureDevice(kind: 'cpu' | 'cuda', threads: number): Device {
  const program = join(packageRoot(), 'dist/bench/sherd-peak.js')
  const asked = spawnSync(process.execPath, [program, JSON.stringify({ device: kind, threads })], {
    encoding: 'utf8',
  })
  if (asked.status !== 0) {
    console.error(`bench: ${asked.stderr.match(/SherdError: (.*)/)?.[1] ?? asked.stderr.slice(-2000)}`)
    process.exit(1)
  }
  return { kind, ...(JSON.parse(asked.stdout) as Omit<Device, 'kind'>) }
}

/** Bytes of the first GPU that are in use, of all processes together; `null` on a CPU. */
export function deviceMemory(kind: Device['kind']): number | null {
  if (kind === 'cpu') return null
  const asked = spawnSync('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], {
    encoding: 'utf8',
  })
  const mebibytes = Number.parseInt(asked.stdout ?? '', 10)
  return asked.status === 0 && Number.isFinite(mebibytes) ? mebibytes * 2 ** 20 : null
}
