/** A plan: looks at the images and at the machine, and proposes what to train, how large, and how long, with the reasons. */
import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { openData } from '../config/assemble.ts'
import { presetOf } from '../config/presets.ts'
import { SherdError } from '../errors.ts'
import { findSplit } from '../evaluate/evaluate.ts'
import { coreCount } from '../machine/hardware.ts'
import { loadOf, othersNow } from '../machine/load.ts'
import { availableBytes } from '../machine/memory.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { cadenceOf, type RunCost, secondsOfRun } from '../run/run-cost.ts'
import { openSource } from '../source/open.ts'
import {
  accumulated,
  FEW_IMAGES,
  FEWEST_EPOCHS,
  FEWEST_STEPS,
  type Given,
  lengthWithin,
  MOST_EPOCHS,
  roundedEpochs,
  wantedSeen,
} from './choose.ts'
import { type Difference, differences } from './compare.ts'
import { configOf, ladderOf, type Rung } from './ladder.ts'
import { type Field, measureLadder, type TakeTrial } from './measure.ts'
import { isRasterFolder, type RasterSurvey, rasterKeys, surveyRasters } from './raster-survey.ts'
import { counted, distinctImages, type Survey, type SurveyOptions, surveyImages } from './survey.ts'
import { runTrial } from './trial.ts'

export interface PlanOptions {
  readonly data: string
  readonly hours: number
  /** A folder of images like those that the encoder will be used on. */
  readonly like?: string | undefined
  /** Only this preset, at its own size. */
  readonly preset?: string | undefined
  /** The folder of the run; by default one that does not exist, named after the data. */
  readonly out?: string | undefined
  readonly device?: 'auto' | 'cpu' | 'cuda' | undefined
  readonly signal?: AbortSignal | undefined
  readonly survey?: Pick<SurveyOptions, 'most' | 'seconds'> | undefined
  /** How long each model is timed; 8. */
  readonly trialSeconds?: number | undefined
  /** `of` is null for steps that are timed: how many it will be depends on how fast they are. */
  readonly onProgress?: ((doing: string, done: number, of: number | null) => void) | undefined
  /** How trials are taken: in a process of their own. */
  readonly take?: TakeTrial | undefined
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

export interface Reason {
  readonly what: 'preset' | 'image' | 'patch' | 'batch' | 'epochs' | 'memory'
  readonly value: string
  readonly why: string
}

export interface Plan {
  readonly kind: 'plan'
  readonly data: Survey | RasterSurvey
  readonly like: Survey | RasterSurvey | null
  readonly differences: readonly Difference[]
  readonly machine: MachinePlan
  readonly availableBytes: number
  readonly hours: number
  readonly proposal: Proposal
  readonly reasons: readonly Reason[]
  /** What to know or do besides, a sentence or two each. */
  readonly advice: readonly string[]
  readonly faster: Proposal | null
  readonly larger: Proposal | null
}

const TRIAL_SECONDS = 8
const nameOf = ({ encoder, patchSize, imageSize }: Pick<Rung, 'encoder' | 'patchSize' | 'imageSize'>) =>
  `${encoder}/${patchSize} at ${imageSize} pixels`
const grouped = (n: number) => n.toLocaleString('en-US')

/** Looks at a folder of whatever kind, with the number of its samples. */
async function look(
  dir: string,
  { survey, signal, onProgress }: PlanOptions,
): Promise<Survey | RasterSurvey> {
  if (await isRasterFolder(dir)) return surveyRasters(dir)
  const source = await openSource(dir)
  const counting = (done: number, of: number) => onProgress?.(`looking at ${dir}`, done, of)
  return surveyImages(source, { ...survey, signal, onProgress: counting })
}

/** Errors are those of `pretrain`; besides `USAGE` for a time that is too short, `INTERRUPTED`. */
export async function planTraining(options: PlanOptions): Promise<Plan> {
  const { hours, preset, onProgress, signal, trialSeconds = TRIAL_SECONDS } = options
  const data = await look(options.data, options)
  const like = options.like === undefined ? null : await look(options.like, options)
  if (like && (like.kind === 'rasters') !== (data.kind === 'rasters'))
    throw new SherdError(
      'USAGE',
      `${data.dir} holds ${data.kind}, and ${like.dir} ${like.kind}: an encoder for the one cannot be used on the other.`,
    )
  const asked = { device: options.device ?? 'auto', precision: 'auto', threads: 0, workers: 0 } as const
  const machine = planMachine(asked)
  const probe = like && (await isLabelled(like.dir)) ? like.dir : null
  const set = keysOf(data, { like, probe, device: options.device })
  const side = Math.min(data.shortSide.median, like?.shortSide.median ?? Number.POSITIVE_INFINITY)
  const rungs = ladderOf({
    ...{
      kind: data.kind === 'rasters' ? 'rasters' : 'images',
      side,
      device: machine.device === 'cpu' ? 'cpu' : 'cuda',
    },
    ...{ set: set.model, preset },
  })
  const images = await samplesOf(options.data, data, rungs[0]!)
  const distinct = data.kind === 'rasters' ? images : distinctImages(data)
  const given: Given = { images, distinct, seconds: 3600 * hours, available: availableBytes() }
  const others = othersNow()
  let timing = ''
  const field = await measureLadder(rungs, {
    ...{ ...given, data: options.data, set: set.run, probe: set.probe, trialSeconds },
    take:
      options.take ??
      ((request) => runTrial(request, { signal, onProgress: (steps) => onProgress?.(timing, steps, null) })),
    onTrial(rung) {
      timing = `timing ${nameOf(rung)}`
      onProgress?.(timing, 0, null)
    },
  })
  const load = loadOf([others, othersNow()])
  const out = options.out ?? freeFolder(options.data)
  const context = { options, given, set, out, probe, field }
  const proposal = proposalOf(field.choice.chosen, context)
  if (proposal.steps < FEWEST_STEPS) throw tooShort(proposal, context)
  const beside = (i: number) => (field.rungs[i] ? proposalOf(i, context, proposal.epochs) : null)
  const found = { data, like, given, field, proposal, machine, preset }
  return {
    ...{ kind: 'plan', data, like, machine, hours, proposal, availableBytes: given.available },
    differences: compared(data, like),
    reasons: reasonsOf(found),
    advice: adviceOf({ ...found, probe, load }),
    faster: beside(field.choice.chosen - 1),
    larger: beside(field.choice.chosen + 1),
  }
}

/** Whether a run can probe its encoder with the folder: classes, in the folder itself or in `train` and a folder to test with. */
async function isLabelled(dir: string): Promise<boolean> {
  try {
    const { labels, classes } = await openSource(findSplit(dir).train)
    const ofClass = counted([...(labels ?? [])])
    return classes.length >= 2 && ofClass.every(([, count]) => count >= 2)
  } catch {
    return false
  }
}

async function samplesOf(dir: string, data: Survey | RasterSurvey, rung: Rung): Promise<number> {
  if (data.kind !== 'rasters') return data.images
  return (await openData(configOf(rung), dir)).files.length
}

interface Keys {
  /** What decides the model: bands, channels. */
  readonly model: readonly string[]
  /** What a run has besides. */
  readonly run: readonly string[]
  readonly probe: readonly string[]
}

/** The bands of the presets for rasters. */
const usualBands = (): readonly string[] => presetOf('satmae-tiny-sentinel2').config.data?.bands ?? []
/** Side of the windows of large scenes: that of the larger preset. */
const WINDOW = 96

/** Of those looked at, more than which a run would stop for. */
const USUAL_SKIPPED = 0.01

function keysOf(
  data: Survey | RasterSurvey,
  {
    like,
    probe,
    device,
  }: { like: Survey | RasterSurvey | null; probe: string | null; device: PlanOptions['device'] },
): Keys {
  const model: string[] = []
  if (data.kind === 'rasters') model.push(...rasterKeys(data, { usual: usualBands(), imageSize: WINDOW }))
  else if (isGrey(data) && (!like || like.kind === 'rasters' || isGrey(like)))
    model.push('model.channels=1', 'data.statistics=dataset')
  const share = data.broken.length / data.looked
  const run = [
    ...(share > USUAL_SKIPPED ? [`data.maxSkippedShare=${skippedShare(share)}`] : []),
    ...(device === undefined ? [] : [`train.device=${device}`]),
  ]
  return { model, run, probe: probe === null ? [] : [`log.probe=${JSON.stringify(probe)}`] }
}

const isGrey = ({ grey, looked, broken }: Survey) => grey === looked - broken.length
/** Room for what the sample did not show. */
const skippedShare = (share: number) => Math.min(1, Math.ceil(150 * share) / 100)

function freeFolder(data: string): string {
  const name = join('runs', basename(resolve(data)) || 'mine')
  for (let n = 1; ; n++) {
    const path = n === 1 ? name : `${name}-${n}`
    if (!existsSync(path)) return path
  }
}

interface Context {
  readonly options: PlanOptions
  readonly given: Given
  readonly set: Keys
  readonly out: string
  readonly probe: string | null
  readonly field: Field
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
function proposalOf(
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

function lengthOf(
  cost: RunCost,
  cadence: ReturnType<typeof cadenceOf>,
  { batch, images, epochs }: { batch: number; images: number; epochs: number },
) {
  const steps = Math.max(1, Math.ceil((epochs * images) / batch))
  return { steps, epochs, seconds: secondsOfRun(cost, cadence, steps) }
}

function tooShort(proposal: Proposal, { options, field, given }: Context): SherdError {
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

function compared(data: Survey | RasterSurvey, like: Survey | RasterSurvey | null): Difference[] {
  if (!like) return []
  if (data.kind !== 'rasters' && like.kind !== 'rasters') return differences(data, like)
  if (data.kind !== 'rasters' || like.kind !== 'rasters') return []
  const missing = data.bands.filter((band) => !like.bands.includes(band))
  return missing.length === 0
    ? []
    : [
        {
          what: 'bands',
          text: `the rasters to use it on lack ${missing.join(', ')}: name the bands that both have in data.bands`,
        },
      ]
}

interface Found {
  readonly data: Survey | RasterSurvey
  readonly like: Survey | RasterSurvey | null
  readonly given: Given
  readonly field: Field
  readonly proposal: Proposal
  readonly machine: MachinePlan
  readonly preset: string | undefined
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(bytes < 10e9 ? 2 : 3)} GB`
const millions = (n: number) =>
  n < 1e6 ? grouped(Number(n.toPrecision(2))) : `${Number((n / 1e6).toPrecision(3))} million`

function reasonsOf({ data, like, given, field, proposal, preset }: Found): Reason[] {
  const { imageSize, patchSize, batchSize, accumulate, epochs, steps, memoryBytes, imagesPerSecond } =
    proposal
  const { images, seconds } = given
  const { limit, isShort } = field.choice
  const hours = `${Number((seconds / 3600).toPrecision(3))} h`
  const next = field.rungs[field.choice.chosen + 1]
  const name = next && nameOf(next)
  const wanted = wantedSeen(images)
  const whyPreset = () => {
    if (preset !== undefined) return 'as asked for'
    if (isShort)
      return limit === 'images'
        ? 'the smallest model, for the images are few'
        : `the fastest that there is: even it sees ${millions(imagesPerSecond * seconds)} images in ${hours}, and ${millions(wanted)} are worth while`
    if (limit === 'time')
      return `the most capable that sees ${millions(wanted)} images or more in ${hours} here; ${name} would not`
    if (limit === 'images')
      return `${name} is meant for ${grouped(next!.leastImages)} different images or more, and there are about ${grouped(given.distinct)}`
    if (limit === 'memory')
      return `${name} needs more memory than the ${gigabytes(given.available)} that are free`
    return 'the most capable of the presets'
  }
  const smaller = like && like.shortSide.median < data.shortSide.median ? like : data
  const side = `half of the ${smaller === like ? 'images to use it on' : data.kind === 'rasters' ? 'scenes' : 'images'} are ${grouped(smaller.shortSide.median)} pixels or more on the shorter side`
  const patches = Math.floor(imageSize / patchSize) ** 2
  const batch = batchSize * accumulate
  return [
    {
      what: 'preset',
      value: `${proposal.preset} (${proposal.encoder}, ${millions(proposal.parameters)} weights)`,
      why: whyPreset(),
    },
    {
      what: 'image',
      value: `${imageSize} x ${imageSize} pixels`,
      why: preset === undefined ? side : 'the size of the preset',
    },
    {
      what: 'patch',
      value: `${patchSize} x ${patchSize} pixels`,
      why: `${patches} patches an image, of which a quarter is seen; the time follows their number`,
    },
    {
      what: 'batch',
      value: accumulate === 1 ? String(batch) : `${batch} (${batchSize} x ${accumulate})`,
      why:
        batch > batchSize
          ? `the largest power of two with 5,000 steps or more, in micro-batches of ${batchSize} for the memory`
          : 'enough to keep the machine busy; a larger one would leave fewer than 5,000 steps',
    },
    {
      what: 'epochs',
      value: `${epochs} (${grouped(steps)} steps)`,
      why:
        epochs >= roundedEpochs(MOST_EPOCHS)
          ? `more than ${grouped(MOST_EPOCHS)} passes bring little: it ends before the ${hours}`
          : `what fits into ${hours} at ${Number(imagesPerSecond.toPrecision(3))} images/s, with the start, checkpoints and pictures`,
    },
    {
      what: 'memory',
      value: memoryBytes === null ? 'not measured' : gigabytes(memoryBytes),
      why: `peak of the trial; ${gigabytes(given.available)} are free`,
    },
  ]
}

/** Share of the time, from which reading is what a run waits for. */
const MUCH_WAITING = 0.15
function adviceOf(found: Found & { readonly probe: string | null; readonly load: number | null }): string[] {
  const { data, given, field, proposal, machine, probe, like, load } = found
  const advice: string[] = []
  if (load !== null)
    advice.push(
      `Other programs used ${load.toFixed(1)} of ${coreCount()} cores while this was measured. Where they end, the training is faster than planned, and more fits into the time.`,
    )
  if (given.distinct < FEW_IMAGES)
    advice.push(
      `${grouped(given.distinct)} different images are too few to pretrain from random weights: features will say little about anything else. Begin with published weights (--init FILE, see docs/import.md) and train a few hundred epochs more on yours, or add images, which need no labels. A small model is proposed.`,
    )
  const { epochs } = proposal
  if (epochs < FEWEST_EPOCHS && field.choice.isShort && given.distinct >= FEW_IMAGES)
    advice.push(
      `${epochs} passes are few: published recipes take ${FEWEST_EPOCHS} to 1,600. Give it more hours, a GPU, or begin with published weights (--init FILE).`,
    )
  if (data.kind !== 'rasters') {
    if (data.nearDuplicates > 0)
      advice.push(
        `${grouped(data.nearDuplicates)} of ${grouped(data.looked)} images looked at are near duplicates of another one, such as ${data.duplicateExample!.join(' and ')}: they count once here. "sherd duplicates" finds all of them, with a model.`,
      )
    if (data.blank > 0)
      advice.push(
        `${grouped(data.blank)} of ${grouped(data.looked)} images looked at are nearly of one colour.`,
      )
  }
  if (data.broken.length > 0)
    advice.push(
      `${grouped(data.broken.length)} of ${grouped(data.looked)} files looked at cannot be used and are skipped, such as ${data.broken[0]!.file}: ${data.broken[0]!.reason}`,
    )
  const wait = field.measured[field.choice.chosen]?.trial.dataWait ?? 0
  if (wait > MUCH_WAITING)
    advice.push(
      `${Math.round(100 * wait)} % of the time goes by waiting for images to be read. Read them once: sherd pack --data ${JSON.stringify(data.dir)} --out packed --short-side ${2 * proposal.imageSize}, then give --data packed.`,
    )
  if (machine.device === 'cpu' && proposal.hours > 24)
    advice.push('A GPU that LibTorch can use does this in a small part of the time.')
  if (like && !probe)
    advice.push(
      'The second folder has no classes (folders of images), so the run cannot probe the encoder with it while it learns.',
    )
  return advice
}
