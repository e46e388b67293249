import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runPaths } from '../../src/checkpoint/run-folder.ts'
import { objectiveOf } from '../../src/config/assemble.ts'
import { raiseAlarms } from '../../src/run/consumers/alarms.ts'
import type { LoopEvent } from '../../src/run/events.ts'
import { readNotes } from '../../src/run/journal.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { metricRows } from '../../src/train/metrics.ts'
import { toyObjective } from '../objective/toy.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

it('an alarm is raised once after enough steps out of bounds, and again only after as many within them', () => {
  const metrics = metricRows(toyObjective() as never) // usedCodes below 2 for 3 steps
  const warning = (message: string) => ({ kind: 'warning', message }) as const
  const { on } = raiseAlarms({ metrics, warning })
  const warned = (...values: (number | undefined)[]) =>
    values.flatMap((usedCodes, i) => {
      const metricsOfStep = usedCodes === undefined ? {} : { usedCodes }
      const said = on!({ kind: 'step', step: i + 1, metrics: metricsOfStep } as unknown as LoopEvent)
      return (said as readonly { message: string }[]).map(({ message }) => message)
    })
  expect(warned(1, 1, 4, 1, 1)).toEqual([]) // a step within its bounds begins the count again
  expect(warned(1)).toEqual([
    'Step 1: usedCodes is 1 codes, below 2 for 3 steps. The codebook has collapsed: begin it again.',
  ])
  expect(warned(1, 1, 1, 1, 2, 3, 1, 1, 1, 1)).toEqual([]) // it was back for two steps only
  expect(warned(2, 2, 2, 1, 1, undefined, Number.NaN)).toEqual([
    'Step 7: usedCodes is NaN codes, not finite for 3 steps. The codebook has collapsed: begin it again.',
  ])
  expect(warned(4, 4, 4, 1, 1)).toEqual([])
  on!({ kind: 'rollback' } as LoopEvent)
  expect(warned(1, 1)).toEqual([])
})

it('a run states its rows in its folder, and an alarm is a warning in its events and its journal', async () => {
  const out = join(await workFolder(), 'run')
  const falling: typeof objectiveOf = (config, device) => {
    const own = objectiveOf(config, device)
    let height = 0
    const alarm = { above: 2, forSteps: 2, text: 'Stop.' }
    return {
      ...own,
      metrics: [...own.metrics!, { name: 'height', kind: 'health', unit: 'm', alarm }],
      loss: (...given) => ({ ...own.loss(...given), metrics: { height: tensor([height++], []) } }),
    }
  }
  const config = tinyConfig({ train: { steps: 6 } })
  const events = await run({ config, data: await sampleFolder(), out, objectiveOf: falling })
  const message = 'Step 5: height is 4 m, above 2 for 2 steps. Stop.'
  expect(events.filter(({ kind }) => kind === 'warning')).toEqual([{ kind: 'warning', message }])
  const paths = runPaths(out)
  expect(readNotes(paths.journal).filter(({ event }) => event === 'warning')).toMatchObject([{ message }])
  const { format, rows } = JSON.parse(readFileSync(paths.metricsSchema, 'utf8')) as {
    format: string
    rows: object[]
  }
  expect(format).toBe('sherd-metrics/1')
  expect(rows).toContainEqual({
    ...{ name: 'metrics.height', kind: 'health', unit: 'm', alarm: { above: 2, forSteps: 2, text: 'Stop.' } },
  })
  expect(rows).toContainEqual({
    ...{ name: 'loss', kind: 'loss', unit: '', chance: 47 / 48, chanceOf: 'predicting the mean' },
  })
  expect(events[0]).toMatchObject({ kind: 'start', metrics: rows })
})
