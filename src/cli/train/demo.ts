/** `sherd demo`: the sample images, a small model, a loss curve and a reconstruction, in about two minutes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import { describeCommand } from '../help.ts'
import { note, print } from '../output.ts'
import { endProgress, progress } from '../progress.ts'
import { stopSignal } from '../signals.ts'
import { follow } from './follow.ts'
import { openReporter } from './reporter.ts'

const preset = 'mae-demo'

export function addDemo(root: Command): void {
  describeCommand(root.command('demo'), {
    group: 'Train',
    page: 'run.md',
    examples: [
      'sherd demo  # sample images, a small model and pictures of what it learned, in about two minutes',
      'sherd demo --out trial  # the same, into another folder',
    ],
  })
    .description('pretrain a small model on generated images, with pictures of what it learned')
    .option('--out <dir>', 'folder for data and runs', 'runs')
    .option('--json', 'print every event as a line of JSON')
    .action(async ({ out, json }: { out: string; json?: boolean }) => {
      letWaitingThreadsSleep()
      const { writeSampleData } = await import('../../sample-data/write-scenes.ts')
      const { resolveConfig } = await import('../../config/resolve.ts')
      const { presetOf } = await import('../../config/presets.ts')
      const { pretrain } = await import('../../run/pretrain.ts')
      const data = join(out, 'sample-data')
      note('1/2 sample images')
      await writeSampleData({
        ...{ dir: data, count: 2000, size: 64, seed: 0 },
        onProgress: (done, count) => progress(`writing images ${done}/${count}`),
      })
      endProgress()
      note('2/2 pretraining')
      const run = freeName(join(out, 'demo'))
      const config = resolveConfig(presetOf(preset).config)
      const reporter = openReporter({ json, isLengthNamed: true, next: false })
      const events = pretrain({
        ...{ config, preset, data, out: run, resume: false },
        ...{ signal: stopSignal(), onProgress: reporter.progress },
      })
      const end = await follow(events, reporter)
      if (end?.reason === 'completed' && !json) {
        print('Next: your own images.')
        print(`  npx sherd pretrain mae-small-64 --data DIR --out ${join(out, 'mine')}`)
      }
    })
}

/** `demo`, or `demo-2`, `demo-3` … where that exists. */
function freeName(path: string): string {
  if (!existsSync(path)) return path
  let n = 2
  while (existsSync(`${path}-${n}`)) n++
  return `${path}-${n}`
}
