/** A model for other programs: its parameters as arrays, with position tables written out. Needs no LibTorch. */
import { join, resolve } from 'node:path'
import { expectFiniteArray, type FloatArray, type StoredArray, toFloat32 } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { backboneOf, decodedConfig, decoderOf, dimensionsOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { inTheirNames, type Layout } from '../import/layouts/layout.ts'
import { isOfDecoder } from '../model/decoder/names.ts'
import { type EncoderDimensions, gridOfModel } from '../model/dimensions.ts'
import { sineCosinePositions } from '../token/position.ts'
import { type FoundWeights, identityOf } from '../weights/found-weights.ts'
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
    ...{ ...found, path: identityOf(found, request.model), dimensions: dimensionsOf(config), arrays },
    hasDecoder: arrays.has('decoder_embed.weight'),
    ...(leavesHead && {
      warnings: [
        ...(found.warnings ?? []),
        'Its head of segmentation is left out: no layout has one. "sherd export onnx" takes it.',
      ],
    }),
  }
}

const stored = ({ shape, data }: FloatArray): StoredArray => ({ dtype: 'float32', shape, data })

/** Positions with a row of zeros for cls where the layout has one. */
function positionTable(
  table: Float32Array,
  width: number,
  { hasClsRow, isBare = false }: { readonly hasClsRow: boolean; readonly isBare?: boolean | undefined },
): StoredArray {
  const before = hasClsRow ? width : 0
  const data = new Float32Array(before + table.length)
  data.set(table, before)
  const shape = [data.length / width, width]
  return { dtype: 'float32', shape: isBare ? shape : [1, ...shape], data }
}

export interface NamingOptions {
  /** The parameters to export, by our names. */
  readonly isWanted: (name: string) => boolean
  /** Prefix of the encoder's names. */
  readonly wrapper: string
  /** [N, D]; null: none are written. */
  readonly positions: Float32Array | null
  readonly hasClsRow: boolean
  /** Ours as the program has them. */
  readonly ours?: ((arrays: ExportedModel['arrays']) => ReadonlyMap<string, FloatArray>) | undefined
}

/** Arrays under a layout's names, with the position tables. Throws `USAGE` for parameters that the layout lacks. */
export function inLayout(
  { arrays, dimensions: d, hasDecoder, config }: ExportedModel,
  layout: Layout,
  { isWanted, wrapper, positions, hasClsRow, ours = (all) => all }: NamingOptions,
): Map<string, StoredArray> {
  const made = new Map<string, StoredArray>()
  if (positions) {
    if (!layout.positions) throw new SherdError('USAGE', `${layout.title} adds no positions to tokens.`)
    const { name, isBare } = layout.positions
    made.set(wrapper + name, positionTable(positions, d.width, { hasClsRow, isBare }))
  }
  if (hasDecoder && layout.decoderPositions && isWanted('decoder_embed.weight')) {
    const { width } = decoderOf(decodedConfig(config))
    const table = sineCosinePositions(gridOfModel(d), width)
    made.set(layout.decoderPositions, positionTable(table, width, { hasClsRow: true }))
  }
  const wanted = new Map([...arrays].filter(([name]) => name !== 'pos_embed' && isWanted(name)))
  const { arrays: named, lacking } = inTheirNames(layout, ours(wanted), wrapper)
  if (lacking.length > 0)
    throw new SherdError('USAGE', `${layout.title} has no name for ${lacking.slice(0, 5).join(', ')}.`)
  for (const [name, array] of named) made.set(name, stored(array))
  return made
}

const isOfEncoder = (name: string) => !isOfDecoder(name) && !/^(?:head|decode_head)\./.test(name)

export const encoderParameterCount = ({ arrays }: ExportedModel): number =>
  [...arrays].reduce((sum, [name, { data }]) => sum + (isOfEncoder(name) ? data.length : 0), 0)

/** Fields that transformers 5 takes as floats only, where 1 is not 1.0. */
const floatField = /("(?:layerscale_value|layer_scale_init_value|rope_theta|mask_ratio)": -?\d+)(?=,?$)/gm
/** As Python writes it. */
const jsonText = (value: unknown) => `${JSON.stringify(value, null, 2).replace(floatField, '$1.0')}\n`

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
    writeWhole(path, jsonText(value))
    return path
  })
  return [weights, join(folder, 'README.md'), ...files]
}
