/** A plan: looks at the images and at the machine, and proposes what to train, how large, and how long, with the reasons. */
import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { openData } from '../config/assemble.ts'
import { presetOf } from '../config/presets.ts'
import { SherdError } from '../errors.ts'
import { findSplit } from '../evaluate/evaluation-data.ts'
import { loadOf, othersNow } from '../machine/load.ts'
import { availableBytes } from '../machine/memory.ts'
import { type MachinePlan, planMachine } from '../machine/plan.ts'
import { openSource } from '../source/open.ts'
import { FEWEST_STEPS, type Given } from './choose.ts'
import { type Difference, differences } from './compare.ts'
import { configOf, ladderOf, nameOf, type Rung } from './ladder.ts'
import { measureLadder, type TakeTrial } from './measure.ts'
import { type Asked, type Keys, type Proposal, proposalOf, tooShort } from './proposal.ts'
import { isRasterFolder, type RasterSurvey, rasterKeys, surveyRasters } from './raster-survey.ts'
import { adviceOf, type Reason, reasonsOf } from './reasons.ts'
import { counted, distinctImages, type Survey, type SurveyOptions, surveyImages } from './survey.ts'
import { runTrial } from './trial.ts'

export interface PlanOptions extends Asked {
  readonly signal?: AbortSignal | undefined
  readonly survey?: Pick<SurveyOptions, 'most' | 'seconds'> | undefined
  /** How long each model is timed; 8. */
  readonly trialSeconds?: number | undefined
  /** `of` is null for steps that are timed: how many it will be depends on how fast they are. */
  readonly onProgress?: ((doing: string, done: number, of: number | null) => void) | undefined
  /** How trials are taken: in a process of their own. */
  readonly take?: TakeTrial | undefined
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
  const kind = data.kind === 'rasters' ? 'rasters' : 'images'
  const device = machine.device === 'cpu' ? 'cpu' : 'cuda'
  const rungs = ladderOf({ kind, side, device, set: set.model, preset })
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
  const context = { options, data, like, machine, given, set, out, probe, field }
  const { chosen } = field.choice
  const proposal = proposalOf(chosen, context)
  if (proposal.steps < FEWEST_STEPS) throw tooShort(proposal, context)
  const beside = (i: number) => (field.rungs[i] ? proposalOf(i, context, proposal.epochs) : null)
  return {
    ...{ kind: 'plan', data, like, machine, hours, proposal, availableBytes: given.available },
    differences: compared(data, like),
    reasons: reasonsOf(context, proposal),
    advice: adviceOf(context, proposal, load),
    ...{ faster: beside(chosen - 1), larger: beside(chosen + 1) },
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

function compared(data: Survey | RasterSurvey, like: Survey | RasterSurvey | null): Difference[] {
  if (!like) return []
  if (data.kind !== 'rasters' && like.kind !== 'rasters') return differences(data, like)
  if (data.kind !== 'rasters' || like.kind !== 'rasters') return []
  const missing = data.bands.filter((band) => !like.bands.includes(band)).join(', ')
  const text = `the rasters to use it on lack ${missing}: name the bands that both have in data.bands`
  return missing === '' ? [] : [{ what: 'bands', text }]
}
