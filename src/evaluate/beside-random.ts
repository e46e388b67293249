/** A report beside the same network with random weights and beside chance, and the warning where it is no better than they are. */
import { join } from 'node:path'
import { disposeAll } from '../tensor/scope.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { randomTwin } from '../weights/random-twin.ts'
import { type FeatureReport, type JudgeOptions, judge, type RandomResult } from './evaluate.ts'
import { type OpenedImages, type OpenImagesOptions, openImages } from './open-images.ts'

const SEED = 0

/** What random weights make has a folder of its own. */
const besideWork = (work: string | undefined) => (work === undefined ? undefined : join(work, 'random'))

/** The images as the network with random weights sees them; what was read before an interruption is in `work`. Throws as `openImages`. */
export async function randomImages(options: OpenImagesOptions): Promise<OpenedImages> {
  const twin = randomTwin(options.encoder, SEED)
  const work = besideWork(options.work)
  try {
    return await openImages({ ...options, encoder: twin, work })
  } finally {
    disposeAll([...twin.parameters.values()])
  }
}

/** Whether there is anything random weights could be compared with. */
export const isLearned = ({ origin }: Pick<OpenedEncoder, 'origin'>): boolean => origin.path !== 'random'

const NORMAL = 1.96 // 95 % of a normal distribution

/** How far two shares of the same images may lie apart by having drawn these, if they are the same; `isExact`: the second one is no measurement. */
function margin(own: number, other: number, { images, isExact }: { images: number; isExact: boolean }) {
  const share = isExact ? other : (own + other) / 2
  return NORMAL * Math.sqrt(((isExact ? 1 : 2) * share * (1 - share)) / images)
}

const percent = (share: number) => (100 * share).toFixed(2)

/** The results that count and are no better than chance, or than random weights. */
export function weakResults(
  { rows, chosen, chance, data }: Pick<FeatureReport, 'rows' | 'chosen' | 'chance' | 'data'>,
  random: Pick<RandomResult, 'rows' | 'chosen'> | null,
): string[] {
  const images = data.testImages
  return chosen.flatMap((place) => {
    const { group, top1 } = rows[place]!
    const twin = random?.chosen.map((at) => random.rows[at]!).find((row) => row.group === group)
    const beside = [
      { what: 'always naming the commonest class', share: chance, isExact: true },
      ...(twin
        ? [{ what: 'the same network with random weights', share: twin.top1.mean, isExact: false }]
        : []),
    ]
    return beside.flatMap(({ what, share, isExact }) => {
      const least = margin(top1.mean, share, { images, isExact })
      if (top1.mean - share > least) return []
      return [
        `${group && `${group}: `}top-1 of ${percent(top1.mean)} % does not beat ${what}, ${percent(share)} %: of ${images} test images it has to be ${percent(least)} points higher`,
      ]
    })
  })
}

/** Adds what random weights reach. `random`: from `randomImages`; null without them. */
export async function besideRandom(
  report: FeatureReport,
  random: OpenedImages | null,
  options: JudgeOptions,
): Promise<FeatureReport> {
  const found = random && (await judge(random, { ...options, work: besideWork(options.work) }))
  const result = found && { seed: SEED, rows: found.rows, chosen: found.chosen }
  return {
    ...report,
    random: result,
    warnings: [...report.warnings, ...weakResults(report, result)],
    seconds: report.seconds + (found?.seconds ?? 0),
  }
}
