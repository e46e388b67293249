/** `sherd plan`: looks at images and machine, and proposes what to train, with the command. */
import { type Command, Option } from 'commander'
import type { Plan } from '../../plan/plan.ts'
import type { Proposal } from '../../plan/proposal.ts'
import type { RasterSurvey } from '../../plan/raster-survey.ts'
import type { Survey } from '../../plan/survey.ts'
import { describeCommand } from '../help.ts'
import { positiveNumber } from '../options.ts'
import { duration, grouped, note, paint, print, printCommand, printJson, table } from '../output.ts'
import { ownName, quoted } from '../own-name.ts'
import { endProgress, showProgress } from '../progress.ts'
import { stopSignal } from '../signals.ts'

interface Flags {
  data: string
  hours: number
  like?: string
  preset?: string
  out?: string
  device?: 'auto' | 'cpu' | 'cuda'
  json?: boolean
}

/** A night. */
const USUAL_HOURS = 8

export function addPlan(root: Command): void {
  describeCommand(root.command('plan'), {
    group: 'Train',
    page: 'plan.md',
    examples: [
      'sherd plan --data DIR  # what to train on these images in a night',
      'sherd plan --data DIR --hours 2 --like LABELLED  # for two hours, to be used on images like these',
      'sherd plan --data DIR --preset mae-base-224  # how long, and how much memory, this one takes',
    ],
  })
    .description('look at images and machine, and propose what to train and how long')
    .requiredOption('--data <dir>', 'folder of images to learn from, or of rasters')
    .addOption(
      new Option('--hours <h>', 'how long the training may take')
        .argParser(positiveNumber)
        .default(USUAL_HOURS, '8: a night'),
    )
    .option(
      '--like <dir>',
      'images like those that the encoder will be used on; with classes, they probe it while it learns',
    )
    .option('--preset <name>', 'plan with this preset at its own size, instead of choosing one')
    .option('--out <run>', 'folder of the run, for the command (default: one in runs/ that is free)')
    .addOption(new Option('--device <device>', 'where to train').choices(['auto', 'cpu', 'cuda']))
    .option('--json', 'print the plan as JSON')
    .action(runPlan)
}

async function runPlan(flags: Flags): Promise<void> {
  const { planTraining } = await import('../../plan/plan.ts')
  const started = performance.now()
  const { json, ...options } = flags
  const plan = await planTraining({
    ...options,
    signal: stopSignal('stopping'),
    onProgress(doing, done, of) {
      if (of === null)
        showProgress([doing, ...(done > 0 ? [`${done} ${done === 1 ? 'step' : 'steps'}`] : [])])
      else showProgress([doing, `${grouped(done)} of ${grouped(of)}`], done / of)
    },
  })
  endProgress()
  if (json) return printJson(plan)
  show(plan)
  note(`planned in ${duration((performance.now() - started) / 1000)}`)
}

const gigabytes = (bytes: number | null) =>
  bytes === null ? 'not measured' : `${(bytes / 1e9).toFixed(bytes < 10e9 ? 1 : 0)} GB`
const listed = (
  rows: readonly { readonly count: number }[],
  nameOf: (i: number) => string,
  others = 0,
): string =>
  [
    ...rows.map(({ count }, i) =>
      rows.length === 1 && others === 0 ? nameOf(i) : `${nameOf(i)} (${grouped(count)})`,
    ),
    ...(others > 0 ? [`others (${grouped(others)})`] : []),
  ].join(', ')

/** Facts of a folder, a line each. */
function facts(survey: Survey | RasterSurvey): string[][] {
  const { shortSide, sizes, otherSizes, formats, broken, classes, leastOfClass, mostOfClass, looked } = survey
  const isRasters = survey.kind === 'rasters'
  const all = isRasters ? survey.files : survey.images
  const ofLooked = (count: number) => `${grouped(count)} of ${grouped(looked)}`
  const rows = [
    [
      isRasters ? 'files' : 'images',
      grouped(all) + (looked < all ? `, of which ${grouped(looked)} were looked at` : ''),
    ],
    ['sizes', listed(sizes, (i) => `${sizes[i]!.width} x ${sizes[i]!.height}`, otherSizes)],
  ]
  if (shortSide.least !== shortSide.most)
    rows.push([
      'shorter side',
      `${grouped(shortSide.least)} to ${grouped(shortSide.most)} pixels, typically ${grouped(shortSide.median)}`,
    ])
  rows.push(['formats', listed(formats, (i) => formats[i]!.format)])
  if (isRasters) {
    const { bands, areBandsNamed, dates, metresPerPixel } = survey
    rows.push(['bands', `${bands.join(', ')}${areBandsNamed ? '' : ' (files do not name them)'}`])
    if (dates.count > 0) rows.push(['dates', `${grouped(dates.count)}, ${dates.first} to ${dates.last}`])
    if (metresPerPixel !== null) rows.push(['pixels', `${Number(metresPerPixel.toPrecision(3))} m`])
  } else {
    const { grey, nearDuplicates, blank } = survey
    const usable = looked - broken.length
    rows.push([
      'colours',
      grey === 0 ? 'colour' : grey === usable ? 'grey' : `colour, ${ofLooked(grey)} grey`,
    ])
    rows.push(['near duplicates', nearDuplicates === 0 ? 'none' : ofLooked(nearDuplicates)])
    if (blank > 0) rows.push(['of one colour', ofLooked(blank)])
  }
  rows.push(['cannot be used', broken.length === 0 ? 'none' : ofLooked(broken.length)])
  rows.push([
    'labels',
    classes === 0
      ? 'none'
      : `${grouped(classes)} folders of ${leastOfClass === mostOfClass ? grouped(leastOfClass) : `${grouped(leastOfClass)} to ${grouped(mostOfClass)}`}${isRasters ? ' files' : ' images'} (not needed, not used)`,
  ])
  return rows
}

const BROKEN_SHOWN = 3

function show(plan: Plan): void {
  const { data, like, proposal, machine } = plan
  showFolder(data)
  if (like) {
    print('')
    showFolder(like)
    for (const { text } of plan.differences) print(`  differs: ${text}`)
    if (plan.differences.length === 0)
      print('  like the images to learn from, as far as sizes, colours and brightness tell')
  }
  print('')
  print(
    `${paint('bold', 'proposed')} for ${plan.hours} h on ${machine.device}, ${machine.precision}, ${machine.threads} threads`,
  )
  print(table(plan.reasons.map(({ what, value, why }) => [`  ${what}`, value, why])))
  print('')
  print(`${hoursOf(proposal.hours)}, ${gigabytes(proposal.memoryBytes)} of memory:`)
  printCommand(commandOf(proposal))
  const others = [plan.faster && ['faster', plan.faster], plan.larger && ['larger', plan.larger]].filter(
    (row): row is [string, Proposal] => Boolean(row),
  )
  if (others.length > 0) {
    print('')
    print(`${paint('bold', 'instead')}, for as many passes over the data:`)
    print(
      table(
        [
          ['', 'model', 'pixels', 'hours', 'memory', 'images/s'],
          ...others.map(([name, each]) => [
            `  ${name}`,
            `${each.encoder}/${each.patchSize}`,
            String(each.imageSize),
            `${each.isMeasured ? '' : 'about '}${hoursOf(each.hours)}`,
            gigabytes(each.memoryBytes),
            String(Number(each.imagesPerSecond.toPrecision(3))),
          ]),
        ],
        [2, 3, 4, 5],
        { header: true },
      ),
    )
    for (const [, each] of others) printCommand(commandOf(each))
  }
  if (plan.advice.length > 0) print('')
  for (const line of plan.advice) print(`${paint('yellow', 'note:')} ${line}`)
}

function showFolder(survey: Survey | RasterSurvey): void {
  print(paint('bold', survey.dir))
  print(table(facts(survey).map(([name, value]) => [`  ${name}`, value!])))
  for (const { file, reason } of survey.broken.slice(0, BROKEN_SHOWN)) print(`    ${file}: ${reason}`)
  const more = survey.broken.length - BROKEN_SHOWN
  if (more > 0) print(`    and ${grouped(more)} more`)
}

const hoursOf = (hours: number): string => duration(3600 * hours)

const commandOf = ({ arguments: args }: Proposal): string =>
  [ownName(), ...args].map((part, i) => (i === 0 ? part : quoted(part))).join(' ')
