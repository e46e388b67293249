/** `sherd pack`: decodes a folder of images once, into memory-mapped files that NumPy reads too. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import { sherdVersion } from '../../package-root.ts'
import { describeCommand } from '../help.ts'
import { depthRange, wholeNumber } from '../options.ts'
import { noteThere, overwriteOption } from '../out-options.ts'
import { note, print, printJson, warnOnce } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { addReadingOptions, type ReadingFlags, readingOf } from '../reading-options.ts'
import { STOPPING, stopSignal } from '../signals.ts'
import { oldSpelling } from '../spellings.ts'

interface Flags extends ReadingFlags {
  data?: string
  out?: string
  check?: string
  shortSide?: number
  channels: '1' | '3'
  count?: number
  fileMegabytes: number
  range?: [number, number]
  overwrite?: boolean
  json?: boolean
}

export function addPack(root: Command): void {
  const command = describeCommand(root.command('pack'), {
    group: 'Data',
    page: 'source.md#packed-images',
    examples: [
      'sherd pack --data photos --out packed --short-side 256  # decode once, for faster training',
      'sherd pack --check packed  # is every byte as it was?',
    ],
  })
    .description('decode a folder of images once, into memory-mapped files that NumPy reads, too')
    .option('--data <dir>', 'folder of images, read recursively')
    .option('--out <dir>', 'folder to write; give it as --data to other commands')
    .option('--short-side <pixels>', 'shrink larger images to this shorter side', wholeNumber(1))
    .addOption(new Option('--channels <n>', '3 (sRGB) or 1 (luma)').choices(['1', '3']).default('3'))
    .option('--count <n>', 'at most this many images, spread evenly', wholeNumber(1))
    .option(
      '--file-megabytes <n>',
      'length of a file of pixels, after which another begins',
      wholeNumber(1),
      1024,
    )
    .option(
      '--range <low,high>',
      'what of 16-bit values becomes 0 and 255 (default: the high byte)',
      depthRange,
    )
    .option('--check <dir>', 'compare the hashes of a packed folder instead')
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runPack)
  oldSpelling(command, '--limit <n>', '--count')
  addReadingOptions(command, { ofModel: false })
}

async function runPack(flags: Flags): Promise<void> {
  if (flags.check !== undefined) return check(flags.check, flags.json ?? false)
  const { data, out } = flags
  if (!data || !out) {
    const missing = [
      ...(data ? [] : ['--data, a folder of images']),
      ...(out ? [] : ['--out, the folder to write']),
    ]
    throw new SherdError('USAGE', `Packing needs ${missing.join(', and ')}.`)
  }
  const { openSource } = await import('../../source/open.ts')
  const { packImages } = await import('../../prepare/pack/pack.ts')
  const version = sherdVersion()
  const source = await openSource(data)
  if (source.kind !== 'images')
    throw new SherdError('SOURCE', `${source.dir} is packed already. Give the folder of images.`)
  const { depthNote } = await import('../../prepare/decode/bit-depth.ts')
  const { defaultMaxPixels } = await import('../../prepare/decode/decode.ts')
  const dark = flags.range
    ? null
    : await depthNote(source, { maxPixels: flags.maxPixels ?? defaultMaxPixels })
  if (dark !== null) warnOnce(dark)
  const packed = await packImages({
    source,
    ...{ out, version, shortSide: flags.shortSide, limit: flags.count },
    channels: flags.channels === '1' ? 1 : 3,
    fileBytes: flags.fileMegabytes * 1e6,
    ...readingOf(flags),
    range: flags.range,
    overwrite: flags.overwrite,
    onProgress: counting('packing', 'images'),
    signal: stopSignal(STOPPING),
    onSkip: ({ file, reason }) => note(`left out ${file}: ${reason}`),
  })
  endProgress()
  noteThere(out, packed)
  const { dir, manifest, bytes, skipped } = packed
  const { images, classes } = manifest
  if (flags.json)
    return printJson({
      ...{ kind: 'pack', dir, images, classes: classes.length, bytes, skipped: skipped.length },
    })
  const left = skipped.length > 0 ? `; ${skipped.length} left out, listed in skipped.jsonl` : ''
  print(`${images} images, ${(bytes / 1e6).toFixed(1)} MB of pixels${left}: ${dir}`)
}

async function check(dir: string, json: boolean): Promise<void> {
  const { checkPack } = await import('../../source/packed-images.ts')
  const { images, classes, pixels } = await checkPack(dir, counting('comparing', 'files'))
  const files = pixels.length + 4
  if (json) printJson({ kind: 'pack-check', dir: resolve(dir), images, classes: classes.length, files })
  else print(`${images} images, every hash as in the manifest: ${resolve(dir)}`)
}
