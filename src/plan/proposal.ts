/** What is proposed: a model that was measured, a length that fits into the time, and the command that says both. */
import { SherdError } from '../errors.ts'
import type { MachinePlan } from '../machine/plan.ts'
import { cadenceOf, type RunCost } from '../run/run-cost.ts'
import { accumulated, FEWEST_STEPS, type Given, lengthOf, lengthWithin, MOST_EPOCHS } from './choose.ts'
import { configOf, grouped } from './ladder.ts'
import type { Field } from './measure.ts'
import type { RasterSurvey } from './raster-survey.ts'
import type { Survey } from './survey.ts'

/** What a plan is asked for. */
export interface Asked {
  readonly data: string
  readonly hours: number
  /** A folder of images like those that the encoder will be used on. */
  readonly like?: string | undefined
  /** Only this preset, at its own size. */
  readonly preset?: string | undefined
  /** The folder of the run; by default one that does not exist, named after the data. */
  readonly out?: string | undefined
  readonly device?: 'auto' | 'cpu' | 'cuda' | undefined
}

export interface Keys {
  /** What decides the model: bands, channels. */
  readonly model: readonly string[]
  /** What a run has besides. */
  readonly run: readonly string[]
  readonly probe: readonly string[]
}

export interface Context {
  readonly options: Asked
  readonly data: Survey | RasterSurvey
  readonly like: Survey | RasterSurvey | null
  readonly machine: MachinePlan
  readonly given: Given
  readonly set: Keys
  readonly out: string
  /** The folder that the run's probe looks at. */
  readonly probe: string | null
  readonly field: Field
}

export interface Proposal {
  readonly preset: string
  readonly encoder: string
  readonly parameters: number
  readonly imageSize: number
  readonly patchSize: number
  readonly batchSize: number
  readonly accumulate: number
  readonly epochs: number
  readonly steps: number
  readonly hours: number
  /** Peak of the process; null where it was not measured. */
  readonly memoryBytes: number | null
  readonly imagesPerSecond: number
  /** Otherwise computed, from a smaller model's speed. */
  readonly isMeasured: boolean
  /** Of `sherd`. */
  readonly arguments: readonly string[]
}

/** Seconds between two checkpoints, pictures or probes, where the usual 500 steps take longer. */
const LONGEST_BETWEEN = 1800
const BETWEEN = 900
/** Of the time, for the probe. */
const PROBE_SHARE = 0.05
const USUAL_STEPS = 500

/** Two digits, which are easier to read. */
const rounded = (n: number) => Math.max(1, Number(n.toPrecision(2)))

function cadenceKeys(cost: RunCost): string[] {
  const every = cost.step * USUAL_STEPS > LONGEST_BETWEEN ? rounded(BETWEEN / cost.step) : USUAL_STEPS
  const probe = Math.max(every, rounded(cost.probe / PROBE_SHARE / cost.step))
  return [
    ...(every === USUAL_STEPS ? [] : [`checkpoint.everySteps=${every}`, `log.pictureEverySteps=${every}`]),
    ...(cost.probe === 0 || probe === USUAL_STEPS ? [] : [`log.probeEverySteps=${probe}`]),
  ]
}

/** `epochs`: of the other proposal, where this is its alternative; else as many as the time has. */
export function proposalOf(
  i: number,
  { options, given, set, out, probe, field }: Context,
  epochs?: number,
): Proposal {
  const rung = field.rungs[i]!
  const measured = field.measured[i] ?? null
  const { imagesPerSecond, memory } = field.costed[i]!
  const { images, seconds } = given
  const batchSize = measured?.microBatch ?? Math.min(rung.microBatch, images)
  const seen =
    epochs === undefined ? Math.min(imagesPerSecond * seconds, MOST_EPOCHS * images) : epochs * images
  const accumulate = accumulated(seen, { microBatch: batchSize, images })
  const batch = batchSize * accumulate
  const parts = measured?.trial.cost ?? { open: 0, checkpoint: 0, picture: 0, probe: 0, curve: 0 }
  // Only the chosen model was probed: it follows the speed.
  const { chosen } = field.choice
  const ofChosen = field.measured[chosen]?.trial.cost.probe ?? 0
  const probeSeconds = (ofChosen * field.costed[chosen]!.imagesPerSecond) / imagesPerSecond
  const cost = { ...parts, step: batch / imagesPerSecond, probe: probeSeconds }
  const preset = configOf(rung, set.run).train
  const keys = [
    ...rung.set,
    ...(preset.batchSize === batchSize ? [] : [`train.batchSize=${batchSize}`]),
    ...(preset.accumulate === accumulate ? [] : [`train.accumulate=${accumulate}`]),
    ...cadenceKeys(cost),
  ]
  const cadence = cadenceOf(configOf(rung, [...set.run, ...set.probe, ...keys.slice(rung.set.length)]))
  const length =
    epochs === undefined
      ? lengthWithin(cost, cadence, { batch, images, seconds })
      : lengthOf(cost, cadence, { batch, images, epochs })
  const skipped = set.run.find((key) => key.startsWith('data.maxSkippedShare='))
  return {
    ...{ preset: rung.preset, encoder: rung.encoder, parameters: rung.parameters },
    ...{ imageSize: rung.imageSize, patchSize: rung.patchSize, batchSize, accumulate },
    ...{ epochs: length.epochs, steps: length.steps, hours: length.seconds / 3600 },
    ...{ memoryBytes: measured ? memory : null, imagesPerSecond, isMeasured: measured !== null },
    arguments: [
      ...['pretrain', rung.preset, '--data', options.data, '--out', out, '--epochs', String(length.epochs)],
      ...(probe === null ? [] : ['--probe', options.like!]),
      ...(options.device === undefined ? [] : ['--device', options.device]),
      ...(skipped === undefined ? [] : ['--max-skipped-share', skipped.split('=')[1]!]),
      ...keys.flatMap((key) => ['--set', key]),
    ],
  }
}

export function tooShort(proposal: Proposal, { options, field, given }: Context): SherdError {
  const batch = proposal.batchSize * proposal.accumulate
  const needed = (FEWEST_STEPS * batch) / proposal.imagesPerSecond
  const open = field.measured[field.choice.chosen]?.trial.cost.open ?? 0
  const least = (needed + open) / 3600
  return new SherdError(
    'USAGE',
    `${options.hours} h are too short for any preset here: ${proposal.preset}, the fastest that was timed, takes ${Math.max(0, proposal.steps)} steps of ${batch} images in it (${Math.round(proposal.imagesPerSecond)} images/s, ${Math.round(open)} s to start), ` +
      `and fewer than ${FEWEST_STEPS} teach nothing. Give at least --hours ${Math.ceil(100 * least) / 100}; one pass over the ${grouped(given.images)} images takes ${(given.images / proposal.imagesPerSecond / 3600).toPrecision(2)} h.`,
  )
}
