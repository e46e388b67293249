/** Evaluation on frozen features: runs a protocol, selects settings on held-out images, reports. */
import { inPieces, type Watching } from '../files/pieces.ts'
import type { VectorFeature } from '../token/feature.ts'
import { conventionOf, type HowTaken, preparationText } from '../weights/how-taken.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { ownFeature } from '../weights/own-feature.ts'
import { type Spread, spreadOf } from './effective-rank.ts'
import type { EvaluatedImages } from './evaluation-data.ts'
import type { LinearMap } from './linear-probe.ts'
import {
  describeImages,
  heldOutSplit,
  type OpenedImages,
  type OpenImagesOptions,
  openImages,
  testSplit,
} from './open-images.ts'
import {
  type Fit,
  type Outcome,
  type Protocol,
  type ProtocolName,
  type ProtocolSettings,
  protocols,
  type Split,
} from './protocols.ts'
import { chanceOf, type MeanAndDeviation, meanAndDeviation, type Scores, scoresOf } from './scores.ts'
import { edgeWarnings } from './sweep-edges.ts'

export interface JudgeOptions extends Watching {
  readonly protocol: ProtocolName
  readonly settings: Omit<ProtocolSettings, 'classes' | 'device'>
  readonly seeds: readonly number[]
  /** A folder that keeps what is done: the same call continues from there. */
  readonly work?: string | undefined
}

export type EvaluateOptions = JudgeOptions & OpenImagesOptions

/** The result of one setting of a protocol. */
export interface Row {
  readonly group: string
  readonly pooling: VectorFeature
  readonly setting: string
  readonly top1: MeanAndDeviation
  readonly top5: MeanAndDeviation | null
  /** Balanced accuracy. */
  readonly meanRecall: MeanAndDeviation
  readonly macroF1: MeanAndDeviation
  /** Top-1 on the held-out tenth of the training images; null if not measured. */
  readonly heldOut: number | null
}

export const reportFormat = 'sherd-evaluation/2'

export interface Report {
  readonly format: typeof reportFormat
  readonly protocol: string
  readonly title: string
  readonly model: OpenedEncoder['origin']
  readonly data: EvaluatedImages
  /** What was read of an image, and how it was prepared; reports of older versions lack it. */
  readonly reads?: HowTaken
  readonly classes: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  readonly seeds: readonly number[]
  readonly rows: readonly Row[]
  /** Indices into `rows`, one for each group: the best on the held-out images where they were used. */
  readonly chosen: readonly number[]
  /** Of the last chosen row, first seed. */
  readonly scores: Scores
  /** Top-1 of always predicting the commonest class. */
  readonly chance: number
  /** The images that chose the epoch of fine-tuning, and top-1 on them after each epoch. */
  readonly validation?: {
    readonly images: number
    readonly of: string
    readonly isTest: boolean
    readonly attempts: readonly {
      readonly seed: number
      /** The best one; the first is 1. */
      readonly epoch: number
      readonly top1: readonly number[]
    }[]
  }
  /** What a reader should know before believing the result. */
  readonly warnings: readonly string[]
  readonly seconds: number
}

/** The mean and spread of attempts, for a row. */
export const rowScores = (
  attempts: readonly Scores[],
): Pick<Row, 'top1' | 'top5' | 'meanRecall' | 'macroF1'> => ({
  top1: meanAndDeviation(attempts.map(({ top1 }) => top1)),
  top5: attempts[0]!.top5 === null ? null : meanAndDeviation(attempts.map(({ top5 }) => top5!)),
  meanRecall: meanAndDeviation(attempts.map(({ meanRecall }) => meanRecall)),
  macroF1: meanAndDeviation(attempts.map(({ macroF1 }) => macroF1)),
})

/** What the same network reaches with random weights. */
export interface RandomResult {
  /** Of the weights. */
  readonly seed: number
  readonly rows: readonly Row[]
  /** Indices into `rows`, one for each group, as in the report. */
  readonly chosen: readonly number[]
}

/** The report of a protocol on frozen features. */
export interface FeatureReport extends Report {
  /** Of the features of the training images. */
  readonly spread: Readonly<Record<string, Spread>>
  /** Null for random weights themselves, and where they were not asked for; absent in what older versions wrote. */
  readonly random?: RandomResult | null
}

/** Throws `SOURCE` for images without usable labels, `VALUE` for settings that do not fit them, `INTERRUPTED` when the signal is aborted. */
export const evaluate = async (options: EvaluateOptions): Promise<FeatureReport> =>
  judge(await openImages(options), options)

/** For a report: its own feature, by its authors' convention. */
const howTaken = (encoder: OpenedEncoder, feature: string): HowTaken => ({
  ...{ feature, convention: conventionOf(encoder), imageSize: encoder.dimensions.imageSize },
  preparation: preparationText(encoder),
})

/** The selected linear map, and the pooling it reads. */
export interface ChosenMap extends LinearMap {
  readonly pooling: VectorFeature
}

/** Runs one protocol on extracted features. Throws `VALUE` for settings that do not fit the images, `INTERRUPTED`. */
export const judge = async (images: OpenedImages, options: JudgeOptions): Promise<FeatureReport> =>
  (await judgeWithMap(images, options)).report

/** What is kept of a fit; its maps are the arrays, if it has any. */
type FitFacts = readonly (Pick<Outcome, 'setting' | 'swept'> & { readonly scores: Scores })[]

/** A setting of a fit. */
interface Way extends Pick<Fit, 'group' | 'pooling'>, Pick<Outcome, 'setting' | 'swept'> {
  readonly scores: Scores
  readonly map: LinearMap | null
}

const brief = (scores: Scores): Scores => ({ ...scores, classes: [], confusion: [] })

/** Also returns the linear map behind `scores`, if the protocol trains one. */
export function judgeWithMap(
  images: OpenedImages,
  { seeds, settings: given, work, signal, onPiece, ...options }: JudgeOptions,
): Promise<{ report: FeatureReport; map: ChosenMap | null }> {
  const protocol: Protocol = protocols[options.protocol]
  const { encoder, train, trainRows } = images
  const { classes } = train.source
  const uses: readonly string[] = protocol.uses
  const settings: ProtocolSettings = { ...given, classes: classes.length, device: encoder.device }
  const [split, held] = [testSplit(images), heldOutSplit(images)]
  const used = protocol.isRandom ? seeds : seeds.slice(0, 1)
  const features = [...split.keys()]
  const fits = protocol.fits(features, settings)
  const learned = split.get(features[0]!)!
  const fitted = held.get(features[0]!)!.train
  const feasible = settings.neighbours.filter((k) => k <= fitted.count)
  const neighbours = feasible.length > 0 ? feasible : [fitted.count]
  const watched = { of: fits.length * (used.length + 1), unit: `fits of ${options.protocol}` }
  const kept = { dir: work, name: options.protocol }
  return inPieces<FitFacts, { report: FeatureReport; map: ChosenMap | null }>(
    { ...watched, ...kept, signal, onPiece },
    async (pieces) => {
      /** `isWhole`: with maps and scores by class, which are large. */
      const waysOf = async (some: readonly Fit[], sets: Split, seed: number, isWhole: boolean) => {
        const ways: Way[] = []
        for (const { group, pooling, run } of some) {
          const { head, arrays } = await pieces.next(async (breath) => {
            const own = sets.get(pooling)!
            const found = await run(own, seed, breath)
            const { labels } = own.test
            return {
              head: found.map(({ setting, swept, values }) => {
                const scores = scoresOf(values, labels, classes)
                return { setting, swept, scores: isWhole ? scores : brief(scores) }
              }),
              arrays: isWhole ? found.flatMap(({ map }) => (map ? [map.weight, map.bias] : [])) : [],
            }
          })
          const maps = arrays as readonly Float32Array[]
          for (const [i, way] of head.entries()) {
            const [weight, bias] = maps.slice(2 * i)
            ways.push({ ...{ group, pooling, ...way }, map: weight && bias ? { weight, bias } : null })
          }
        }
        return ways
      }
      const bySeed: Way[][] = []
      for (const [i, seed] of used.entries()) bySeed.push(await waysOf(fits, split, seed, i === 0))
      const tried = await waysOf(protocol.fits(features, { ...settings, neighbours }), held, used[0]!, false)
      const heldOut = new Map(tried.map((way) => [keyOf(way), way.scores.top1]))
      const rows = bySeed[0]!.map((way, i): Row => {
        const { group, pooling, setting } = way
        const all = bySeed.map((ways) => ways[i]!.scores)
        return { group, pooling, setting, ...rowScores(all), heldOut: heldOut.get(keyOf(way)) ?? null }
      })
      const chosen = bestOfGroups(rows)
      const counting = bySeed[0]![chosen.at(-1)!]!
      const report: FeatureReport = {
        format: reportFormat,
        ...{ protocol: options.protocol, title: protocol.title, model: encoder.origin },
        ...{ data: describeImages(images), classes, reads: howTaken(encoder, ownFeature(encoder)) },
        settings: Object.fromEntries(Object.entries(given).filter(([key]) => uses.includes(key))),
        ...{ seeds: used, rows, chosen, scores: counting.scores },
        chance: chanceOf(learned.train.labels, learned.test.labels, classes.length),
        warnings: edgeWarnings(
          rows.map((row, i) => ({ ...row, swept: bySeed[0]![i]!.swept })),
          chosen,
          trainRows.length,
        ),
        spread: Object.fromEntries(
          [...split].map(([name, { train }]) => [name, spreadOf(train.vectors, train.width)]),
        ),
        seconds: images.seconds + pieces.seconds(),
      }
      return { report, map: counting.map && { ...counting.map, pooling: counting.pooling } }
    },
  )
}

const keyOf = ({ group, pooling, setting }: Pick<Way, 'group' | 'pooling' | 'setting'>) =>
  [group, pooling, setting].join('/')

/** The index of the best row of each group on the held-out images; of equals the first. */
function bestOfGroups(rows: readonly Row[]): number[] {
  const best = new Map<string, number>()
  for (const [i, { group, heldOut }] of rows.entries()) {
    const before = best.get(group)
    if (before === undefined || (heldOut ?? -1) > (rows[before]!.heldOut ?? -1)) best.set(group, i)
  }
  return [...best.values()]
}
