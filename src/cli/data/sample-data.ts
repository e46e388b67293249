/** `sherd sample-data`: writes the built-in labelled images, natural scenes or satellite images. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import type { SatelliteDataOptions } from '../../sample-data/satellite/write-places.ts'
import type { SampleData } from '../../sample-data/write-scenes.ts'
import { describeCommand } from '../help.ts'
import { wholeNumber } from '../options.ts'
import { overwriteOption } from '../out-options.ts'
import { print, printJson } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { stopSignal } from '../signals.ts'

interface Flags {
  readonly out: string
  readonly kind: 'scenes' | 'satellite'
  readonly count?: number
  readonly size?: number
  readonly seed: number
  readonly dates?: number
  readonly layout?: SatelliteDataOptions['layout']
  readonly masks?: boolean
  readonly overwrite?: boolean
  readonly json?: true
}

export function addSampleData(root: Command): void {
  describeCommand(root.command('sample-data'), {
    group: 'Data',
    page: 'sample-data.md',
    examples: [
      'sherd sample-data --out images  # 2,000 images in ten classes',
      'sherd sample-data --out scenes --kind satellite --masks  # from above, with masks',
    ],
  })
    .description('write a labelled set of generated images, always the same')
    .requiredOption('--out <dir>', 'folder to write')
    .addOption(
      new Option('--kind <kind>', 'natural scenes of ten classes (JPEG), or land from above (GeoTIFF)')
        .choices(['scenes', 'satellite'])
        .default('scenes'),
    )
    .option('--count <n>', 'images in all (default: 2000); satellite: places (400)', wholeNumber(10))
    .option('--size <pixels>', 'side of an image (default: 64; satellite: 48)', wholeNumber(16))
    .option('--seed <n>', 'another seed gives other images', wholeNumber(0), 0)
    .option('--dates <n>', 'satellite: dates of each place (default: 4)', wholeNumber(1))
    .addOption(
      new Option(
        '--layout <layout>',
        'satellite: a file for each date, or one for each band (default: stack)',
      ).choices(['stack', 'bands']),
    )
    .option('--masks', 'satellite: images and masks of the covers, not folders of the classes')
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(async (flags: Flags) => {
      const { dir, count, classes } = await (flags.kind === 'satellite' ? satellite(flags) : scenes(flags))
      endProgress()
      const places = flags.kind === 'satellite' ? 'places' : 'images'
      if (flags.json) printJson({ kind: 'sample-data', dir: resolve(dir), count, classes })
      else print(`${count} ${places} in ${classes.length} classes: ${resolve(dir)}`)
    })
}

const watching = (unit: string) => ({
  onProgress: counting('writing', unit),
  signal: stopSignal('stopping'),
})

/** Writes a set beside its name and moves it there when it is complete. What is there may stay if it is the same set. */
async function placed(
  { out, overwrite = false }: { readonly out: string; readonly overwrite?: boolean | undefined },
  options: Record<string, unknown>,
  write: (dir: string) => Promise<SampleData>,
): Promise<SampleData> {
  const { claimed } = await import('../../files/claim.ts')
  const { isSampleSet } = await import('../../sample-data/marked-set.ts')
  if (isSampleSet(out) && !overwrite) return write(out) // looks whether it is this set
  const made = { command: 'sample-data', options, inputs: {} }
  const { result } = await claimed<Omit<SampleData, 'dir'>>(
    { out, kind: 'folder', made, overwrite, isResult: isSampleSet },
    async (draft) => {
      const { count, classes } = await write(draft.fileFor())
      return { count, classes }
    },
  )
  return { ...result, dir: out }
}

async function scenes({
  out,
  overwrite,
  count = 2000,
  size = 64,
  seed,
  dates,
  layout,
  masks,
}: Flags): Promise<SampleData> {
  const given = Object.entries({ dates, layout, masks }).find(([, value]) => value !== undefined)
  if (given) throw new SherdError('USAGE', `--${given[0]} needs --kind satellite.`)
  const { writeSampleData } = await import('../../sample-data/write-scenes.ts')
  return placed({ out, overwrite }, { kind: 'scenes', count, size, seed }, (dir) =>
    writeSampleData({ dir, count, size, seed, ...watching('images') }),
  )
}

async function satellite({
  out,
  overwrite,
  count = 400,
  size = 48,
  seed,
  dates = 4,
  layout = 'stack',
  masks = false,
}: Flags): Promise<SampleData> {
  const { writeSatelliteData } = await import('../../sample-data/satellite/write-places.ts')
  const asked = { count, size, seed, dates, layout, masks }
  return placed({ out, overwrite }, { kind: 'satellite', ...asked }, (dir) =>
    writeSatelliteData({ dir, ...asked, ...watching('places') }),
  )
}
