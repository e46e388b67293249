/** What a demonstration has come to, as its page. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openRun, type RunFacts, runPaths } from '../../checkpoint/run-folder.ts'
import { backboneOf, dimensionsOf, effectiveBatch, expectMasks, totalSteps } from '../../config/resolve.ts'
import { writeWhole } from '../../files/write-whole.ts'
import { backboneRows } from '../../model/backbone.ts'
import { parameterCount } from '../../model/parameters.ts'
import type { StartEvent } from '../../run/events.ts'
import { meanRatio } from '../../token/mask-ratio.ts'
import { duration } from '../output.ts'
import { ownName, quoted } from '../own-name.ts'
import { demoPage } from './demo-page.ts'
import { type Next, nextCommands, shortPath } from './end-lines.ts'

export interface Shown {
  readonly run: string
  readonly data: string
  readonly isOwn: boolean
  readonly seconds: number | null
  readonly out: string
}

/** Writes `demo.html` into the run. */
export function writePage({ run, data, isOwn, seconds, out }: Shown): string {
  const { config, facts } = openRun(run)
  const paths = runPaths(run)
  const losses = lossesIn(paths.metrics)
  const page = paths.demo
  writeWhole(
    page,
    demoPage({
      of: isOwn ? `your images in ${data}` : 'generated sample images',
      images: facts.data.files,
      steps: totalSteps(config, facts.data.files),
      batch: effectiveBatch(config),
      parameters: parameterCount(backboneRows(backboneOf(config))),
      imageSize: dimensionsOf(config).imageSize[0],
      hiddenShare: meanRatio(expectMasks(config, 'sherd demo').mask),
      time: seconds === null ? null : duration(seconds),
      losses,
      chance: chanceIn(paths.metricsSchema),
      pictures: picturesIn(paths.samples),
      next: commandsFor({ run, data, isOwn, out }, facts),
    }),
  )
  return page
}

function lossesIn(path: string): { x: number; y: number }[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { step: number; loss?: number })
    .flatMap(({ step, loss }) => (loss === undefined ? [] : [{ x: step, y: loss }]))
}

/** What the run's schema says of the loss where nothing is learned. */
function chanceIn(path: string): number | null {
  const { rows = [] } = JSON.parse(readFileSync(path, 'utf8')) as {
    rows?: { name: string; chance?: number }[]
  }
  return rows.find(({ name }) => name === 'loss')?.chance ?? null
}

function picturesIn(dir: string) {
  return readdirSync(dir)
    .flatMap((name) => {
      const step = Number(/^step-(\d+)\.png$/.exec(name)?.[1] ?? Number.NaN)
      return Number.isFinite(step) ? [{ step, png: readFileSync(join(dir, name)) }] : []
    })
    .sort((a, b) => a.step - b.step)
}

function commandsFor(
  { run, data, isOwn, out }: Omit<Shown, 'seconds'>,
  { data: { classes } }: RunFacts,
): Next[] {
  const start: Pick<StartEvent, 'run' | 'data' | 'classes'> = {
    run: resolve(run),
    data: resolve(data),
    classes: classes.length,
  }
  const own = isOwn ? quoted(shortPath(resolve(data))) : 'DIR'
  return [
    ...(isOwn
      ? []
      : [
          {
            what: 'The same with your own images',
            command: `${ownName()} demo --data DIR`,
          },
        ]),
    {
      what: 'What to train on your images, and how long',
      command: `${ownName()} plan --data ${own} --hours 8`,
    },
    {
      what: 'A model that is worth keeping',
      command: `${ownName()} pretrain mae-small-64 --data ${own} --out ${quoted(join(out, 'mine'))}`,
    },
    ...nextCommands(start).map(({ what, command }) => ({
      what: what[0]!.toUpperCase() + what.slice(1),
      command,
    })),
  ]
}
