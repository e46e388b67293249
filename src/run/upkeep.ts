/** What a run does beside its steps: checkpoints, pictures, looks at the encoder, the journal and the list of what was skipped. */
import { join } from 'node:path'
import { saveCheckpoint } from '../checkpoint/checkpoint.ts'
import { runPaths } from '../checkpoint/run-folder.ts'
import { weightsMetadata } from '../checkpoint/weights-metadata.ts'
import { dimensionsOf, effectiveBatch } from '../config/resolve.ts'
import { messageOf } from '../errors.ts'
import { writeWhole } from '../files/write-whole.ts'
import { patchWidth } from '../model/dimensions.ts'
import { drawLossCurve } from '../picture/loss-curve.ts'
import { drawReconstructions } from '../picture/reconstruction-grid.ts'
import type { SkippedFile } from '../prepare/skipped.ts'
import { meanPredictionLoss } from '../target/pixels.ts'
import type { Span } from '../train/span.ts'
import type { Model } from '../weights/load-model.ts'
import type { RunEvent } from './events.ts'
import { appendNote, appendProbe, appendSkipped, readMetrics, readSkipped } from './journal.ts'
import type { OnlineProbe } from './online-probe.ts'
import { type Exhibit, reconstructExhibit } from './pictures.ts'
import type { RunState } from './recover.ts'

export interface UpkeepOptions {
  readonly out: string
  readonly model: Model
  readonly training: RunState
  readonly exhibit: Exhibit
  /** Null where nothing is probed. */
  readonly look: OnlineProbe | null
  readonly span: Span
}

export interface Upkeep {
  /** Tells the journal. A journal that cannot be written ends no run. */
  note(event: string, more?: object): void
  warning(message: string): RunEvent
  /** Saves a checkpoint of now. Throws `RUN`. */
  save(step: number): { readonly step: number; readonly path: string }
  /** These fail with a warning: the run goes on without them. */
  draw(step: number): Promise<RunEvent>
  probe(step: number): Promise<RunEvent>
  /** The loss curve's path, or null where no step was logged, or a warning. */
  drawLosses(): Promise<{ readonly path: string | null; readonly warnings: readonly RunEvent[] }>
  readonly onSkip: (file: SkippedFile) => void
  /** The files that were skipped since it was last asked. */
  newlySkipped(): readonly SkippedFile[]
  /** Of the whole run. */
  skippedCount(): number
}

export function openUpkeep({ out, model, training, exhibit, look, span }: UpkeepOptions): Upkeep {
  const { config, statistics } = model
  const paths = runPaths(out)
  const note: Upkeep['note'] = (event, more = {}) => {
    try {
      appendNote(paths.journal, { event, ...more })
    } catch {
      // what happens is told by events, too
    }
  }
  const warning = (message: string): RunEvent => {
    note('warning', { message })
    return { kind: 'warning', message }
  }
  const beside = async (what: string, body: () => Promise<RunEvent>): Promise<RunEvent> => {
    try {
      return await body()
    } catch (error) {
      return warning(`${what} failed: ${messageOf(error)}`)
    }
  }
  const news: SkippedFile[] = []
  const listed = new Set(readSkipped(paths.skipped).map(({ file }) => file))
  return {
    note,
    warning,
    save: (step) =>
      span('checkpoint', () => {
        const { parameters, optimizer, skippedSteps, rollbacks } = training
        const samples = step * effectiveBatch(config)
        const state = { parameters, optimizer, step, samples, skippedSteps, rollbacks }
        const about = weightsMetadata({ config, statistics })
        return { step, path: saveCheckpoint(paths.checkpoints, state, config.checkpoint, about) }
      }),
    draw: (step) =>
      beside(`The picture of step ${step}`, () =>
        span('pictures', async (): Promise<RunEvent> => {
          const path = join(paths.samples, `step-${String(step).padStart(8, '0')}.png`)
          const rebuilt = reconstructExhibit(model, exhibit, config.train.seed)
          writeWhole(path, await drawReconstructions(rebuilt, { step }))
          return { kind: 'picture', step, path }
        }),
      ),
    probe: (step) =>
      beside(`The probe at step ${step}`, () =>
        span('probe', async (): Promise<RunEvent> => {
          const metric = await look!(step)
          appendProbe(paths.metrics, metric)
          return metric
        }),
      ),
    async drawLosses() {
      const points = readMetrics(paths.metrics)
      if (points.length === 0) return { path: null, warnings: [] }
      try {
        const baseline = meanPredictionLoss(patchWidth(dimensionsOf(config)))
        const { png } = await drawLossCurve({ points, ...(config.target.normalize && { baseline }) })
        writeWhole(paths.lossCurve, png)
        return { path: paths.lossCurve, warnings: [] }
      } catch (error) {
        return { path: null, warnings: [warning(`The loss curve failed: ${messageOf(error)}`)] }
      }
    },
    onSkip(file) {
      if (listed.has(file.file)) return
      listed.add(file.file)
      news.push(file)
      appendSkipped(paths.skipped, file)
    },
    newlySkipped: () => news.splice(0),
    skippedCount: () => listed.size,
  }
}
