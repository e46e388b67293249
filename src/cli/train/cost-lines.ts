/** What a run costs on this machine, in a line, and what to do about it where that is much. */
import type { CostEvent, FittedEvent } from '../../run/events.ts'
import { grouped, threeDigits } from '../output.ts'

const HOUR = 3600
/** Shorter runs are over before the line is read. */
const WORTH_TELLING = 30 // s
const LONG = 3 * HOUR
/** For a run whose length is the preset's and not the user's. */
const LONG_UNASKED = 20 * 60
/** Beside the steps, where it is at least this share of the time. */
const MUCH = 0.1

/** `about` of a time: 40 s, 12 min, 2.5 h, 60 h, 5 days. */
export function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.max(5, 5 * Math.round(seconds / 5))} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  const hours = seconds / HOUR
  if (hours < 10) return `${Number(hours.toFixed(1))} h`
  return hours < 96 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`
}

const shortened = (n: number) => grouped(Number(n.toPrecision(3)))

/** None for a short run. `isLengthNamed`: by `--steps`, `--epochs`, `--hours` or their keys. */
export function costLines(cost: CostEvent, { isLengthNamed }: { readonly isLengthNamed: boolean }): string[] {
  const { step, totalSteps, images, epochs, secondsLeft, besideSeconds } = cost
  if (secondsLeft < WORTH_TELLING) return []
  const all = `${grouped(images)} images × ${shortened(epochs)} epochs = ${grouped(totalSteps)} steps`
  const time = `about ${roughly(secondsLeft)}`
  // The first few steps are only what it was measured on.
  const isBegun = step > totalSteps / 50
  const beside =
    besideSeconds > MUCH * secondsLeft
      ? `, of which ${roughly(besideSeconds)} are checkpoints, pictures and probes`
      : ''
  const line = isBegun
    ? `${all}, of which ${grouped(step)} are done: ${time} are left here${beside}`
    : `${all}: ${time} here${beside}`
  return [line, ...adviceOf(cost, secondsLeft > (isLengthNamed ? LONG : LONG_UNASKED))]
}

const someHours = [0.1, 0.25, 0.5, 1, 2, 8]

function adviceOf({ secondsLeft, stepSeconds, step }: CostEvent, isLong: boolean): string[] {
  if (!isLong) return []
  const hours = someHours.findLast((each) => each * HOUR <= secondsLeft / 4) ?? someHours[0]!
  const fitting = (hours * HOUR) / stepSeconds
  const steps = step + Number(fitting.toPrecision(1))
  return [
    `too long? stop it (Ctrl-C), and begin it again with --overwrite and --hours ${hours}, or --steps ${steps}`,
  ]
}

const inSeconds = (seconds: number): string =>
  seconds < 1 ? `${Math.max(1, Math.round(1000 * seconds))} ms` : `${threeDigits(seconds)} s`

/** What `--hours` has measured and chosen. */
export function fittedLine(event: FittedEvent): string {
  const { hours, steps, epochs, imagesPerSecond, stepSeconds, seconds } = event
  const { checkpointSeconds, pictureSeconds, probeSeconds } = event
  const beside = [
    `a checkpoint ${inSeconds(checkpointSeconds)}`,
    ...(pictureSeconds > 0 ? [`a picture ${inSeconds(pictureSeconds)}`] : []),
    ...(probeSeconds > 0 ? [`a probe ${inSeconds(probeSeconds)}`] : []),
  ]
  return (
    `--hours ${hours}: a step takes ${inSeconds(stepSeconds)} here (${threeDigits(imagesPerSecond)} images/s), ${beside.join(', ')}. ` +
    `So the run has ${grouped(steps)} ${steps === 1 ? 'step' : 'steps'}, ${shortened(epochs)} epochs: about ${roughly(seconds)}`
  )
}
