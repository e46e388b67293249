/** `sherd look`: pictures of what an encoder sees in a few images. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { SherdError } from '../../errors.ts'
import { claimed } from '../../files/claim.ts'
import { fingerprintOf } from '../../files/fingerprint.ts'
import type { LookReport } from '../../look/draw-look.ts'
import { addEncoderOptions, type EncoderFlags, requestOf } from '../encoder-options.ts'
import { describeCommand } from '../help.ts'
import { sayHowRead } from '../how-read.ts'
import { wholeNumber } from '../options.ts'
import { noteThere, overwriteOption } from '../out-options.ts'
import { many, print, printJson } from '../output.ts'
import { counting, endProgress } from '../progress.ts'
import { hearSecondSignal, stopSignal } from '../signals.ts'
import { oldSpelling } from '../spellings.ts'

interface Flags extends EncoderFlags {
  readonly images: string[]
  readonly out: string
  readonly count?: number
  readonly block?: number
  readonly patch?: [row: number, column: number]
  readonly nearest?: number
  readonly overwrite?: boolean
  readonly json?: boolean
}

function place(text: string): [row: number, column: number] {
  const [, row, column] = text.match(/^(\d{1,5}),(\d{1,5})$/) ?? []
  if (row === undefined) throw new InvalidArgumentError('Expected row and column from 0, such as 7,9.')
  return [Number(row), Number(column)]
}

export function addLook(root: Command): void {
  const command = addEncoderOptions(
    describeCommand(root.command('look'), {
      group: 'Use a model',
      page: 'look.md',
      examples: [
        'sherd look --run runs/photos --images photos --out seen  # attention, features and nearest patches of eight images',
        'sherd look --model hf:facebook/dinov2-small --images a.jpg b.jpg --patch 3,7 --out like  # patches like one of a.jpg',
      ],
    }).description(
      'draw what an encoder sees: attention of its heads, patch features, patches that are alike',
    ),
  )
    .requiredOption('--images <path...>', 'folder of images, or image files')
    .requiredOption('--out <dir>', 'folder for the pictures and look.json')
    .option(
      '--count <n>',
      'how many images, spread evenly over the folder (default: 8, or all files)',
      wholeNumber(1),
    )
    .option('--block <k>', 'whose attention is drawn, from 0 (default: the last)', wholeNumber(0))
    .option(
      '--patch <row,column>',
      'patch of the first image that others are compared with, from 0 (default: the most central)',
      place,
    )
    .option('--nearest <n>', 'how many of the nearest patches are framed in each image', wholeNumber(1), 5)
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')
    .action(runLook)
  oldSpelling(command, '--data <path...>', '--images') // as in other commands
}

/** What tells a result of this command. */
const FACTS = 'look.json'

async function runLook(flags: Flags): Promise<void> {
  const { drawLook } = await import('../../look/draw-look.ts')
  const { findWeights, openEncoder } = await import('../../weights/open-encoder.ts')
  const { sealOfModel } = await import('../../weights/found-weights.ts')
  const { images, out, overwrite, count, block, patch, nearest } = flags
  const request = await requestOf(flags, undefined)
  const found = await findWeights(request)
  if (found.config.data.kind !== 'images')
    throw new SherdError('USAGE', `${flags.model} is a model of rasters: look takes models of photographs.`)
  const { config, seed, precision, reading = {} } = request
  const made = {
    command: 'look',
    options: {
      ...{ count, block, patch, nearest, precision, maxPixels: reading.maxPixels, corrupt: reading.corrupt },
      imageSize: found.imageSize,
      ...(found.files.length === 0 && { config, modelSeed: seed }),
    },
    inputs: { images: images.map(fingerprintOf).join(), model: sealOfModel(found) || 'random' },
  }
  const isResult = (dir: string) => existsSync(join(dir, FACTS))
  const done = await claimed<LookReport>(
    { out, kind: 'folder', made, overwrite, isResult },
    async ({ fileFor }) => {
      const encoder = await openEncoder(request)
      sayHowRead(encoder)
      const signal = stopSignal('stopping')
      await hearSecondSignal()
      const show = {
        reading: counting('reading', 'images'),
        looking: counting('looking at', 'images'),
        drawing: counting('drawing', 'pictures'),
      }
      return drawLook(fileFor(), encoder, {
        ...{ images, count, block, patch, nearest, signal },
        onProgress: (doing, ...at) => show[doing](...at),
      })
    },
  )
  endProgress()
  noteThere(out, done)
  const { files: names, whose, ...result } = done.result
  const files = names.map((name) => resolve(out, name))
  if (flags.json) return printJson({ kind: 'look', files, ...result })
  say({ ...result, whose })
  const pictures = names.filter((name) => name.startsWith('attention'))
  const ends = [...new Set([pictures[0]!, pictures.at(-1)!])].join(' to ')
  print(`${[ends, ...names.slice(pictures.length)].join(', ')}: ${resolve(out)}`)
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`

function say({
  images,
  grid,
  heads,
  whose,
  onPrefix,
  explained,
  patch,
  nearest,
  precision,
}: Omit<LookReport, 'files'>): void {
  const away = onPrefix > 0 ? `; ${percent(onPrefix)} of it falls on no patch` : ''
  print(`${many(images, 'image')}, ${grid.join(' × ')} patches, ${many(heads, 'head')}: ${whose}${away}`)
  const all = explained.reduce((sum, share) => sum + share, 0)
  print(`three components of the patch features explain ${percent(all)} of their variance`)
  const near = nearest
    ? `; the nearest, ${nearest.similarity.toFixed(3)}, is row ${nearest.row}, column ${nearest.column} of ${nearest.file}`
    : ''
  print(`chosen patch: row ${patch.row}, column ${patch.column} of ${patch.file}${near}`)
  print(`computed in ${precision}`)
}
