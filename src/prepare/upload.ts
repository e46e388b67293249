/** Uploads the fields of a batch as views. */
import { invariant, SherdError } from '../errors.ts'
import { permute } from '../tensor/ops.ts'
import { type Device, fromArray } from '../tensor/tensor.ts'
import { cutOnDevice, type DeviceImages } from './cache/device-images.ts'
import type { Field, Fields } from './fields.ts'
import { type ChannelStatistics, scaled, toView } from './normalize.ts'
import type { ImagePixels, Pixels, RasterPixels } from './pixels.ts'
import { type View, viewOf } from './view.ts'
import { hiddenOf, resolutionOf, timesOf, type ViewSpec, type ViewSpecs } from './view-spec.ts'

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
  /** Of placed views, with statistics and a device of their own. */
  readonly images?: DeviceImages | undefined
}

type Upload<K extends ViewSpec['kind']> = (
  fields: Fields,
  view: string,
  options: UploadOptions & { readonly spec: ViewSpec & { kind: K } },
) => View

/** Upload by kind of view; n copies give rows copy by copy, [n · B, …]. */
const uploads: { readonly [K in ViewSpec['kind']]: Upload<K> } = {
  crop: (fields, view, { statistics, device }) => toView(pixelsOf(fields, view), statistics, device),
  placed(fields, view, { spec, images }) {
    invariant(images, 'a placed view has no images')
    const { data, shape } = fieldOf(fields, view)
    const [count, B, numbers] = shape as readonly [number, number, number]
    const places = fromArray(data as Int32Array, [count * B, numbers], 'int32', images.device)
    const [height, width] = spec.size
    const samples = cutOnDevice(images, places, { height, width }) // [count · B, H, W, C]
    return viewOf(permute(scaled(samples, images.scaling), [0, 3, 1, 2]))
  },
}

const upload = <K extends ViewSpec['kind']>(spec: ViewSpec & { kind: K }): Upload<K> =>
  uploads[spec.kind as K]

/** Called inside a scope. */
export const toViews = <V extends ViewSpecs>(
  { fields }: { readonly fields: Fields },
  views: V,
  options: UploadOptions,
): { readonly [Name in keyof V]: View } =>
  Object.fromEntries(
    Object.entries(views).map(([name, spec]) => {
      const view = upload(spec)(fields, name, { ...options, spec })
      const hidden = spec.masks && (fieldOf(fields, hiddenOf(name)).data as Uint8Array)
      return [name, { ...view, ...(hidden && { hidden: hidden.slice() }) }]
    }),
  ) as { [Name in keyof V]: View }
