import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ownName } from '../../../src/cli/own-name.ts'
import {
  continuing,
  endFacts,
  inBytes,
  nextCommands,
  writtenLines,
} from '../../../src/cli/train/end-lines.ts'
import type { Yield } from '../../../src/config/in-words.ts'
import type { EndEvent } from '../../../src/run/events.ts'
import { workFolder } from '../sherd.ts'

const end: EndEvent = {
  ...{ kind: 'end', reason: 'completed', step: 1200, totalSteps: 1200, loss: 0.43211, firstLoss: 1.0213 },
  ...{ seconds: 7504, imagesPerSecond: 41.3, checkpoint: null, picture: null, lossCurve: null },
  ...{ skipped: 0, skippedSteps: 0, rollbacks: 0 },
}
const metrics = [
  { name: 'loss', kind: 'loss', unit: '', chance: 0.99812, chanceOf: 'predicting the mean' },
] as const

describe('the end of a run', () => {
  it('says time, rate, and from where to where the loss went', () =>
    expect(endFacts(end, { metrics })).toEqual([
      'completed 1,200 steps in 2 h 05 min, 41 images/s on average',
      'loss 0.4321, from 1.0213 at the beginning; where nothing is learned (predicting the mean) it is 0.9981',
    ]))

  it('says where it was interrupted, and what is not known is left out', () => {
    const stopped = { ...end, reason: 'interrupted', step: 300, skipped: 1 } as const
    expect(endFacts(stopped, { metrics })[0]).toBe(
      'interrupted at step 300 of 1,200 after 2 h 05 min, 41 images/s on average; 1 file skipped, listed in skipped.jsonl',
    )
    const bare = { ...end, seconds: null, imagesPerSecond: null, loss: null, firstLoss: null }
    expect(endFacts(bare, { metrics })).toEqual(['completed 1,200 steps'])
  })

  it('lists what was written, with sizes, folders as a whole', async () => {
    const dir = await workFolder()
    mkdirSync(join(dir, 'step'))
    for (const [name, bytes] of [
      ['step/a', 1500],
      ['step/b', 500],
      ['curve.png', 345],
    ] as const)
      writeFileSync(join(dir, name), Buffer.alloc(bytes))
    const files = { ...end, checkpoint: join(dir, 'step'), lossCurve: join(dir, 'curve.png') }
    expect(writtenLines(files)).toEqual([
      `checkpoint: ${dir}/step (2.0 kB)`,
      `loss curve: ${dir}/curve.png (345 bytes)`,
    ])
    expect([999, 81_234, 2.34e9, 999_600].map(inBytes)).toEqual(['999 bytes', '81 kB', '2.3 GB', '1.00 MB'])
  })

  it('names the next commands, of this folder, as a shell takes them; probes only with labels', () => {
    const run = join(process.cwd(), 'runs', 'my run')
    const commands = (classes: number) =>
      nextCommands({ run, data: '/photos', classes }).map(({ command }) => command)
    expect(commands(0)).toEqual([
      `${ownName()} reconstruct --model 'runs/my run' --data /photos --out 'runs/my run.png'`,
      `${ownName()} index /photos --model 'runs/my run' --out 'runs/my run-index'`,
      `${ownName()} export onnx --model 'runs/my run' --out 'runs/my run.onnx'`,
    ])
    expect(commands(3)[0]).toBe(
      `${ownName()} evaluate linear --model 'runs/my run' --data /photos --out 'runs/my run-linear'`,
    )
    const first = ownName().split(' ').length - 1
    const named = (yields: readonly Yield[]) =>
      nextCommands({ run, data: '/photos', classes: 3 }, yields).map(
        ({ command }) => command.split(' ')[first + 1],
      )
    expect(named(['codes'])).toEqual(['reconstruct', 'tokenize', 'pretrain', 'export'])
    expect(named(['features', 'codes'])).toEqual([
      'evaluate',
      'reconstruct',
      'tokenize',
      'pretrain',
      'index',
      'export',
    ])
    expect(continuing(run)).toBe(`${ownName()} pretrain --out 'runs/my run' --resume`)
  })
})
