/** Uploads the fields of a batch as views. */
import { SherdError } from '../errors.ts'
import type { Device } from '../tensor/tensor.ts'
import type { Field, Fields } from './fields.ts'
import { type ChannelStatistics, toView } from './normalize.ts'
import type { ImagePixels, Pixels, RasterPixels } from './pixels.ts'
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

/** The crops of a view (default `image`) as samples, copy by copy. */
export function pixelsOf(fields: Fields, view = 'image'): Pixels {
  const { data, shape } = fieldOf(fields, view)
  const [count, B, ...rest] = shape as readonly [number, number, ...number[]]
  if (rest.length === 3)
    return {
      pixels: data as ImagePixels['pixels'],
      shape: [count * B, ...rest] as unknown as ImagePixels['shape'],
    }
  const numbersOf = (name: string) => fieldOf(fields, name).data as Float64Array
  return {
    pixels: data as Float32Array,
    shape: [count * B, ...rest] as unknown as RasterPixels['shape'],
    times: numbersOf(timesOf(view)),
    resolution: numbersOf(resolutionOf(view)),
  }
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
