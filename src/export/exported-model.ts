/** A model for other programs: its parameters as arrays, with position tables written out. Needs no LibTorch. */
import { join, resolve } from 'node:path'
import { expectFiniteArray, type FloatArray, type StoredArray, toFloat32 } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { backboneOf, decoderOf, dimensionsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { type Layout, theirNamesOf } from '../import/layouts.ts'
import { type EncoderDimensions, gridOfModel } from '../model/dimensions.ts'
import { sineCosinePositions } from '../token/position.ts'
import type { FoundWeights } from '../weights/found-weights.ts'
import { type EncoderRequest, findWeights } from '../weights/open-encoder.ts'

export interface ExportedModel extends FoundWeights {
  readonly path: string
  readonly dimensions: EncoderDimensions
  readonly arrays: ReadonlyMap<string, FloatArray>
  readonly hasDecoder: boolean
}

/** Throws `USAGE` for a model of rasters, and as `findWeights`. */
export async function openExported(
  request: Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'set'>,
): Promise<ExportedModel> {
  const found = await findWeights(request)
  const { config, files, stored } = found
  if (files.length === 0)
    throw new SherdError('USAGE', 'A random encoder is not exported: give a run or a file of weights.')
  const { groups, frames, time, referenceResolution } = backboneOf(config)
  if (groups || frames > 1 || time || referenceResolution !== null)
    throw new SherdError(
      'USAGE',
      'A model with groups of bands, dates or scales is in no layout of other programs: export it as ONNX (sherd export onnx).',
    )
  const isKept = (name: string) => !name.startsWith('decode_head.')
  const arrays = new Map(
    [...(await found.load(isKept))].map(([name, { data, dtype, shape }]) => [
      name,
      { shape, data: toFloat32(data, dtype) },
    ]),
  )
  for (const [name, { data }] of arrays) expectFiniteArray(name, data)
  const leavesHead = arrays.size < stored.size
  return {
    ...{ ...found, path: resolve(request.model), dimensions: dimensionsOf(config), arrays },
    hasDecoder: arrays.has('decoder_embed.weight'),
    ...(leavesHead && {
      warnings: [
        ...(found.warnings ?? []),
        'Its head of segmentation is left out: no layout has one. "sherd export onnx" takes it.',
      ],
    }),
  }
}

/** [1, 1 + N, width], zero for cls. */
function positionTable(table: Float32Array, width: number): StoredArray {
  const data = new Float32Array(width + table.length)
  data.set(table, width)
  return { dtype: 'float32', shape: [1, data.length / width, width], data }
}

const storedAs = ({ shape, data }: FloatArray): StoredArray => ({ dtype: 'float32', shape, data })

export interface NamingOptions {
  /** The parameters to export, by our names. */
  readonly isWanted: (name: string) => boolean
  /** Prefix of the encoder's names. */
  readonly wrapper: string
}

const isOfEncoder = (name: string) => /^(?:cls_token|patch_embed\.|blocks\.|norm\.)/.test(name)

/** Arrays under a layout's names, with the position tables. Throws `USAGE` for parameters that the layout lacks. */
export function inLayout(
  { arrays, dimensions: d, hasDecoder, config }: ExportedModel,
  layout: Layout,
  { isWanted, wrapper }: NamingOptions,
): Map<string, StoredArray> {
  const made = new Map<string, StoredArray>()
  const grid = gridOfModel(d)
  const learned = arrays.get('pos_embed')?.data
  made.set(
    wrapper + layout.positions!.name,
    positionTable(learned ?? sineCosinePositions(grid, d.width), d.width),
  )
  if (hasDecoder && layout.decoderPositions && isWanted('decoder_embed.weight')) {
    const { width } = decoderOf(config)
    made.set(layout.decoderPositions, positionTable(sineCosinePositions(grid, width), width))
  }
  for (const [name, array] of arrays) {
    if (name === 'pos_embed' || !isWanted(name)) continue
    const names = theirNamesOf(layout, name)
    if (!names) throw new SherdError('USAGE', `${layout.title} has no name for the parameter ${name}.`)
    const prefix = isOfEncoder(name) ? wrapper : ''
    const rows = array.shape[0]! / names.length
    const size = array.data.length / names.length
    for (const [part, theirs] of names.entries())
      made.set(
        prefix + theirs,
        names.length === 1
          ? storedAs(array)
          : storedAs({
              shape: [rows, ...array.shape.slice(1)],
              data: array.data.slice(part * size, (part + 1) * size),
            }),
      )
  }
  return made
}

export const encoderParameterCount = ({ arrays }: ExportedModel): number =>
  [...arrays].reduce((sum, [name, { data }]) => sum + (isOfEncoder(name) ? data.length : 0), 0)

export interface FolderContents {
  readonly arrays: ReadonlyMap<string, StoredArray>
  /** By file name. */
  readonly json: Readonly<Record<string, unknown>>
  readonly card: string
}

/** Returns the paths of the files. */
export function writeFolder(dir: string, { arrays, json, card }: FolderContents): string[] {
  const folder = resolve(dir)
  makeFolder(folder)
  const weights = join(folder, 'model.safetensors')
  writeWeights(weights, arrays, {}) // config.json comes last: folders without it are not loaded
  writeWhole(join(folder, 'README.md'), card)
  const files = Object.entries(json).map(([name, value]) => {
    const path = join(folder, name)
    writeWhole(path, `${JSON.stringify(value, null, 2)}\n`)
    return path
  })
  return [weights, join(folder, 'README.md'), ...files]
}
