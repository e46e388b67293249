/** How much of a real run's time is spent waiting for data: ViT-Tiny on generated JPEG files of CIFAR-10's size. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runPaths } from '../src/checkpoint/run-folder.ts'
import { packageRoot } from '../src/package-root.ts'
import { readMetrics } from '../src/run/journal.ts'
import { writeSampleData } from '../src/sample-data/write-scenes.ts'

export interface WaitingRow {
  readonly work: string
  readonly steps: number
  /** Of the steps' time, without the first ones. */
  readonly waitingShare: number
  readonly imagesPerSecond: number
}

const uncounted = 5 // the first batches are decoded while nothing else happens

/** Trains for `steps` steps with the command, as a user does. */
export async function measureWaiting(device: 'cpu' | 'cuda', steps: number): Promise<WaitingRow> {
  const dir = mkdtempSync(join(tmpdir(), 'sherd-bench-'))
  try {
    const [data, out] = [join(dir, 'images'), join(dir, 'run')]
    await writeSampleData({ dir: data, count: 2000, size: 32, seed: 0 })
    const launcher = join(packageRoot(), 'dist/src/cli/bin.cjs')
    const args = ['pretrain', 'mae-tiny-cifar10', '--data', data, '--out', out, '--device', device]
    const rest = ['--steps', String(steps), '--set', 'log.pictureEverySteps=0']
    const run = spawnSync(process.execPath, [launcher, ...args, ...rest], { encoding: 'utf8' })
    if (run.status !== 0) throw new Error(`sherd pretrain failed: ${run.stderr.slice(-2000)}`)
    const counted = readMetrics(runPaths(out).metrics).slice(uncounted)
    const total = (of: (metric: (typeof counted)[number]) => number) =>
      counted.reduce((sum, m) => sum + of(m), 0)
    const seconds = total((metric) => metric.stepSeconds)
    return {
      work: `waiting for data, ViT-Tiny on 32 × 32 JPEG files, ${steps} steps`,
      steps,
      waitingShare: total((metric) => metric.dataWaitSeconds) / seconds,
      imagesPerSecond: total((metric) => metric.imagesPerSecond * metric.stepSeconds) / seconds,
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
}
