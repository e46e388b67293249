/** A plan in words: why each thing was chosen, and what to know or do besides. */
import { coreCount } from '../machine/hardware.ts'
import { FEW_IMAGES, FEWEST_EPOCHS, MOST_EPOCHS, roundedEpochs, wantedSeen } from './choose.ts'
import { grouped, nameOf } from './ladder.ts'
import type { Context, Proposal } from './proposal.ts'

export interface Reason {
  readonly what: 'preset' | 'image' | 'patch' | 'batch' | 'epochs' | 'memory'
  readonly value: string
  readonly why: string
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(bytes < 10e9 ? 2 : 3)} GB`
const millions = (n: number) =>
  n < 1e6 ? grouped(Number(n.toPrecision(2))) : `${Number((n / 1e6).toPrecision(3))} million`

export function reasonsOf({ options, data, like, given, field }: Context, proposal: Proposal): Reason[] {
  const { imageSize, patchSize, batchSize, accumulate, epochs, steps, memoryBytes, imagesPerSecond } =
    proposal
  const { preset } = options
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
  const reasons: Readonly<Record<Reason['what'], readonly [value: string, why: string]>> = {
    preset: [
      `${proposal.preset} (${proposal.encoder}, ${millions(proposal.parameters)} weights)`,
      whyPreset(),
    ],
    image: [`${imageSize} x ${imageSize} pixels`, preset === undefined ? side : 'the size of the preset'],
    patch: [
      `${patchSize} x ${patchSize} pixels`,
      `${patches} patches an image, of which a quarter is seen; the time follows their number`,
    ],
    batch: [
      accumulate === 1 ? String(batch) : `${batch} (${batchSize} x ${accumulate})`,
      batch > batchSize
        ? `the largest power of two with 5,000 steps or more, in micro-batches of ${batchSize} for the memory`
        : 'enough to keep the machine busy; a larger one would leave fewer than 5,000 steps',
    ],
    epochs: [
      `${epochs} (${grouped(steps)} steps)`,
      epochs >= roundedEpochs(MOST_EPOCHS)
        ? `more than ${grouped(MOST_EPOCHS)} passes bring little: it ends before the ${hours}`
        : `what fits into ${hours} at ${Number(imagesPerSecond.toPrecision(3))} images/s, with the start, checkpoints and pictures`,
    ],
    memory: [
      memoryBytes === null ? 'not measured' : gigabytes(memoryBytes),
      `peak of the trial; ${gigabytes(given.available)} are free`,
    ],
  }
  const whats = Object.keys(reasons) as Reason['what'][]
  return whats.map((what) => ({ what, value: reasons[what][0], why: reasons[what][1] }))
}

/** Share of the time, from which reading is what a run waits for. */
const MUCH_WAITING = 0.15
export function adviceOf(
  { data, like, given, field, machine, probe }: Context,
  proposal: Proposal,
  load: number | null,
): string[] {
  const wait = field.measured[field.choice.chosen]?.trial.dataWait ?? 0
  const { epochs } = proposal
  const ofLooked = (count: number) => `${grouped(count)} of ${grouped(data.looked)}`
  const { nearDuplicates = 0, blank = 0, duplicateExample = null } = data.kind === 'rasters' ? {} : data
  const isFew = given.distinct < FEW_IMAGES
  const advice: [isGiven: boolean, text: () => string][] = [
    [
      load !== null,
      () =>
        `Other programs used ${load!.toFixed(1)} of ${coreCount()} cores while this was measured. Where they end, the training is faster than planned, and more fits into the time.`,
    ],
    [
      isFew,
      () =>
        `${grouped(given.distinct)} different images are too few to pretrain from random weights: features will say little about anything else. Begin with published weights (--init FILE|hf:owner/name, see docs/import.md) and train a few hundred epochs more on yours, or add images, which need no labels. A small model is proposed.`,
    ],
    [
      epochs < FEWEST_EPOCHS && field.choice.isShort && !isFew,
      () =>
        `${epochs} passes are few: published recipes take ${FEWEST_EPOCHS} to 1,600. Give it more hours, a GPU, or begin with published weights (--init FILE|hf:owner/name).`,
    ],
    [
      nearDuplicates > 0,
      () =>
        `${ofLooked(nearDuplicates)} images looked at are near duplicates of another one, such as ${duplicateExample!.join(' and ')}: they count once here. "sherd duplicates" finds all of them, with a model.`,
    ],
    [blank > 0, () => `${ofLooked(blank)} images looked at are nearly of one colour.`],
    [
      data.broken.length > 0,
      () =>
        `${ofLooked(data.broken.length)} files looked at cannot be used and are skipped, such as ${data.broken[0]!.file}: ${data.broken[0]!.reason}`,
    ],
    [
      wait > MUCH_WAITING,
      () =>
        `${Math.round(100 * wait)} % of the time goes by waiting for images to be read. Read them once: sherd pack --data ${JSON.stringify(data.dir)} --out packed --short-side ${2 * proposal.imageSize}, then give --data packed.`,
    ],
    [
      machine.device === 'cpu' && proposal.hours > 24,
      () => 'A GPU that LibTorch can use does this in a small part of the time.',
    ],
    [
      like !== null && probe === null,
      () =>
        'The second folder has no classes (folders of images), so the run cannot probe the encoder with it while it learns.',
    ],
  ]
  return advice.flatMap(([isGiven, text]) => (isGiven ? [text()] : []))
}
