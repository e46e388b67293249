/** Uploads the fields of a batch as views. */
import { SherdError } from '../errors.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Field, FieldArray, Fields } from './fields.ts'
import { type ChannelStatistics, type Pixels, toView } from './normalize.ts'
import type { View } from './view.ts'
import { resolutionOf, timesOf, type ViewSpec, type ViewSpecs } from './view-spec.ts'

function fieldOf(fields: Fields, name: string): Field {
  const field = fields[name]
  if (field) return field
  const has = Object.keys(fields).join(', ')
  throw new SherdError(
    'VALUE',
    `The batch has no field "${name}": it has ${has}. Open the loader with the objective's views.`,
  )
}

const bytesOf = ({ buffer, byteOffset, byteLength }: FieldArray) =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** The crops of a view (default `image`) as samples, copy by copy. */
export function pixelsOf(fields: Fields, view = 'image'): Pixels {
  const { data, shape } = fieldOf(fields, view)
  const [count, B, ...rest] = shape as [number, number, ...number[]]
  const rows = count * B
  if (data instanceof Uint8Array) {
    const [H, W, C] = rest as [number, number, number]
    return { pixels: data, shape: [rows, H, W, C], rasters: null }
  }
  const [frames, C, H, W] = rest as [number, number, number, number]
  const [times, resolution] = [timesOf(view), resolutionOf(view)].map((name) => fieldOf(fields, name).data)
  const facts = new Float64Array(rows * (1 + frames))
  for (let row = 0; row < rows; row++) {
    facts[row * (1 + frames)] = resolution![row]!
    facts.set(times!.subarray(row * frames, (row + 1) * frames), row * (1 + frames) + 1)
  }
  return { pixels: bytesOf(data), shape: [rows, H, W, C], rasters: { frames, facts } }
}

interface UploadOptions {
  readonly statistics: ChannelStatistics
  readonly device: Device
}

/** Upload by kind of view; n copies give rows copy by copy, [n · B, …]. */
const uploads: {
  readonly [K in ViewSpec['kind']]: (fields: Fields, view: string, options: UploadOptions) => View
} = {
  crop: (fields, view, { statistics, device }) => toView(pixelsOf(fields, view), statistics, device),
}

/** Called inside a scope. */
export const toViews = <V extends ViewSpecs>(
  { fields }: { readonly fields: Fields },
  views: V,
  options: UploadOptions,
): { readonly [Name in keyof V]: View } =>
  Object.fromEntries(
    Object.entries(views).map(([name, { kind }]) => [name, uploads[kind](fields, name, options)]),
  ) as { [Name in keyof V]: View }
