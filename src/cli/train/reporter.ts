/** Shows a run to a person: events as lines, progress as one line that is rewritten, or a line now and then. */
import type { Yield } from '../../config/in-words.ts'
import type { EndEvent, RunEvent, RunProgress, StartEvent } from '../../run/events.ts'
import type { Inheritance } from '../../run/inherit.ts'
import type { ProbeMetric } from '../../run/online-probe.ts'
import type { Profile } from '../../run/trace.ts'
import type { StepEvent } from '../../train/events.ts'
import { grouped, many, note, paint, print, printCommand, printJson, warn, warnOnce } from '../output.ts'
import { endProgress, showProgress } from '../progress.ts'
import { isLive } from '../terminal.ts'
import { costLines, fittedLine } from './cost-lines.ts'
import { continuing, endFacts, nextCommands, writtenLines } from './end-lines.ts'
import { partsOf } from './step-line.ts'

export interface Reporter {
  event(event: RunEvent): void
  progress(progress: RunProgress): void
  /** To be called at the end, however that comes. */
  close(): void
}

export interface ReporterOptions {
  readonly json?: boolean | undefined
  /** Whether the user said how long the run is to be. */
  readonly isLengthNamed?: boolean
  /** Whether to print the commands that may follow; default true. */
  readonly next?: boolean
  /** What the model is good for, for those commands. */
  readonly yields?: readonly Yield[]
}

export const openReporter = (options: ReporterOptions = {}): Reporter =>
  options.json ? { event: printJson, progress() {}, close() {} } : forPeople(options)

/** A scene's rim can have thousands of windows without data. */
const SKIPS_TOLD = 20
/** Between two steps that take long the line is shown again, with less time left: between micro-batches there is a moment for it. */
const AGAIN = 1000 // ms

function forPeople({ isLengthNamed = false, next = true, yields }: ReporterOptions): Reporter {
  let start: StartEvent | null = null
  let last: StepEvent | null = null
  let latest: RunProgress | null = null
  let shownAt = 0
  let skips = 0
  let pictures = 0
  let isTold = false
  const show = () => {
    if (latest === null) return
    const gone = (performance.now() - shownAt) / 1000
    const left = latest.secondsLeft === null ? null : Math.max(0, latest.secondsLeft - gone)
    const isLast = latest.doing === 'step' && latest.step === latest.totalSteps
    if (latest.doing === 'opening' && !isLive()) return // not worth a line of a log
    const share = latest.totalSteps === 0 ? null : latest.step / latest.totalSteps
    const parts = partsOf({ ...latest, secondsLeft: left }, last, start?.metrics ?? [])
    showProgress(parts, share, { important: isLast && !isLive() })
  }
  const timer = setInterval(show, AGAIN).unref()
  const stop = () => {
    latest = null
    endProgress()
  }
  return {
    progress(progress) {
      latest = progress
      last = progress.last ?? last
      shownAt = performance.now()
      show()
    },
    close() {
      clearInterval(timer)
      stop()
    },
    event(event) {
      switch (event.kind) {
        case 'start':
          stop()
          start = event
          describeStart(event)
          break
        case 'inherited':
          describeInheritance(event)
          break
        case 'fitted':
          note(fittedLine(event))
          isTold = true // it has said what the run costs
          break
        case 'cost':
          if (!isTold) for (const line of costLines(event, { isLengthNamed })) note(line)
          break
        case 'skip':
          skips++
          if (skips <= SKIPS_TOLD) note(`skipped ${event.file}: ${event.reason}`)
          if (skips === SKIPS_TOLD) note('more that are skipped are listed in skipped.jsonl alone')
          break
        case 'step': // shown as progress
        case 'checkpoint':
          break
        case 'picture':
          // The first one is worth a look; the others are found beside it.
          if (start?.firstStep === 0 && event.step < start.totalSteps && pictures++ === 0)
            note(`first reconstruction: ${event.path}`)
          break
        case 'probe':
          describeProbe(event)
          break
        case 'warning':
          warnOnce(event.message)
          break
        case 'trouble':
          warn(
            `${event.message}. The step is skipped (${event.inARow} in a row, ${event.skippedSteps} in all).`,
          )
          break
        case 'rollback':
          warn(`going back from step ${event.from} to step ${event.to}, and on in another order`)
          break
        case 'profile':
          stop()
          describeProfile(event)
          break
        case 'end':
          stop()
          describeEnd(event, start!, next, yields)
          break
        default:
          event satisfies never
      }
    },
  }
}

function describeStart(event: StartEvent): void {
  const { machine } = event
  const labels = event.classes > 0 ? ` in ${event.classes} classes (labels are not used)` : ''
  note(
    `${paint('bold', event.preset)}: ${grouped(event.parameters)} parameters, ${grouped(event.images)} images${labels}`,
  )
  note(
    `LibTorch ${event.libtorch} on ${machine.device}, ${machine.precision}, ${many(machine.threads, 'thread')}, ${machine.decodeThreads} decoding; ` +
      `${grouped(event.totalSteps)} steps of ${event.effectiveBatch} images, learning rate ${event.peakLearningRate.toPrecision(3)}`,
  )
  if (event.firstStep > 0) note(`continuing from step ${grouped(event.firstStep)}`)
  for (const change of event.changes) note(`changed: ${change}`)
  note(`run folder: ${event.run}`)
}

function describeInheritance({ path, loaded, inflated, resampled, fresh, unused }: Inheritance): void {
  const listed = (names: readonly string[]) =>
    names.length > 4 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')
  note(`began with ${path}: ${loaded.length} parameters loaded`)
  if (inflated.length > 0) note(`  made for other bands (${inflated.length}): ${listed(inflated)}`)
  if (resampled.length > 0) note(`  made for another grid: ${listed(resampled)}`)
  if (fresh.length > 0) note(`  new (${fresh.length}): ${listed(fresh.map(({ name }) => name))}`)
  const norm = fresh.find(({ why }) => why.includes('fc_norm'))
  if (norm) note(`  ${norm.name}: ${norm.why}`)
  if (unused.length > 0) note(`  not used (${unused.length}): ${listed(unused)}`)
}

function describeProbe({ step, knn, linear, chance, effectiveRank }: ProbeMetric): void {
  const both = (value: Readonly<Record<string, number>>, digits: number, factor = 1) =>
    Object.entries(value)
      .map(([pooling, number]) => `${(factor * number).toFixed(digits)} (${pooling})`)
      .join(', ')
  note(
    `probe at step ${step}: kNN ${both(knn, 2, 100)} %, linear ${both(linear, 2, 100)} %, chance ${(100 * chance).toFixed(2)} %, ` +
      `effective rank ${both(effectiveRank, 1)}`,
  )
}

function describeProfile({ path, steps, stepSeconds, shares }: Profile): void {
  const parts = Object.entries(shares).map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`)
  if (steps === 0) note('no step was profiled: the run ended while it warmed up')
  else note(`a step of ${(1000 * stepSeconds).toFixed(1)} ms (${steps} profiled): ${parts.join(', ')}`)
  print(`trace: ${path}   (open in https://ui.perfetto.dev or chrome://tracing)`)
}

/** The facts of the end, and what may follow. */
export function describeEnd(
  event: EndEvent,
  start: Pick<StartEvent, 'run' | 'data' | 'classes' | 'metrics'>,
  next = true,
  yields?: readonly Yield[],
): void {
  for (const line of endFacts(event, start)) note(line)
  for (const line of writtenLines(event)) print(line)
  if (event.reason === 'interrupted') {
    print('continue with:')
    printCommand(`  ${continuing(start.run)}`)
  } else if (next) {
    print('next:')
    for (const { what, command } of nextCommands(start, yields)) {
      print(`  ${what}:`)
      printCommand(`    ${command}`)
    }
  }
}
