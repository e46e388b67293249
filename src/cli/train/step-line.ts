/** The line of progress of training: time left and images/s first, then where it is and what it measures. */
import type { MetricRow } from '../../objective/objective.ts'
import type { RunProgress } from '../../run/events.ts'
import type { StepEvent } from '../../train/events.ts'
import { valueIn } from '../../train/metrics.ts'
import { duration, grouped, paint, threeDigits } from '../output.ts'
import type { Part } from '../progress.ts'

const doings = {
  opening: 'looking at the images',
  measuring: 'measuring how long a step takes here',
  step: '',
  checkpoint: 'saving a checkpoint',
  picture: 'drawing the reconstructions',
  probe: 'probing the encoder',
} as const satisfies Record<RunProgress['doing'], string>

/** By falling importance. `metrics`: the rows of the run. */
export function partsOf(
  { doing, step, totalSteps, secondsLeft, imagesPerSecond }: Omit<RunProgress, 'last'>,
  last: StepEvent | null,
  metrics: readonly MetricRow[],
): Part[] {
  if (doing === 'opening' || doing === 'measuring') return [doings[doing]]
  const [at, of] = [grouped(step), grouped(totalSteps)]
  return [
    secondsLeft === null ? '' : { text: `${duration(secondsLeft)} left`, short: shortDuration(secondsLeft) },
    imagesPerSecond === null
      ? ''
      : { text: `${threeDigits(imagesPerSecond)} images/s`, short: `${threeDigits(imagesPerSecond)}/s` },
    doings[doing],
    { text: `step ${at}/${of}`, short: `${at}/${of}` },
    ...(last ? measured(last, metrics) : []),
  ].filter((part, i) => i < 2 || part !== '')
}

function measured(event: StepEvent, metrics: readonly MetricRow[]): Part[] {
  const { loss, learningRate, gradientNorm, epoch, dataWaitSeconds, stepSeconds } = event
  const bold = paint('bold', loss.toFixed(4))
  return [
    { text: `loss ${bold}`, short: bold },
    ...metrics.flatMap((row) => describeMetric(row, event)),
    `lr ${learningRate.toExponential(1)}`,
    `grad ${gradientNorm.toFixed(2)}`,
    `data wait ${((100 * dataWaitSeconds) / stepSeconds).toFixed(1)} %`,
    `epoch ${epoch.toFixed(2)}`,
  ]
}

/** What an objective measures beside the loss; the numbers of every training have their own places in the line. */
function describeMetric({ name, unit }: MetricRow, line: object): string[] {
  const value = valueIn(line, name)
  const own = name.match(/^(?:parts|metrics)\.(.+)$/)?.[1]
  if (own === undefined || value === undefined) return []
  return [`${own} ${Number(value.toPrecision(4))}${unit && ` ${unit}`}`]
}

/** `2:05 h`, `12 min`, `40 s`. */
function shortDuration(seconds: number): string {
  const minutes = Math.round(seconds / 60)
  if (minutes >= 60) return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')} h`
  return seconds >= 60 ? `${minutes} min` : `${Math.round(seconds)} s`
}
