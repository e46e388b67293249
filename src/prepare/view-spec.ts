/**
 * The views that an objective needs of a sample, as data for the decoding thread. A new kind of view is a member of the union, a row of
 * `fieldsOfKind`, and one of `uploads` (upload.ts).
 */
import type { PhotometricRecipe } from './augment/photometric.ts'
import { placeFields } from './cache/placed-reader.ts'
import type { CropKind } from './crop.ts'
import type { FieldSpecs } from './fields.ts'
import type { Fitting } from './fit.ts'
import type { MaskFiles } from './masks/hidden-patches.ts'
import { mostPixels } from './patch-budget.ts'

/** Crops of an image, resized, perhaps flipped, with photometric augmentation. */
export interface CropSpec {
  readonly kind: 'crop'
  /** Number of copies, each with its own draws. */
  readonly count: number
  readonly size: readonly [height: number, width: number]
  /** These four override the sample settings. */
  readonly crop?: CropKind
  readonly scale?: readonly [number, number]
  readonly ratio?: readonly [number, number]
  readonly flip?: boolean
  /** For image files of three channels: one recipe for all copies, or one each; null: none, overriding the sample settings. */
  readonly photometric?: PhotometricRecipe | readonly PhotometricRecipe[] | null
  /** Of images: masks that come with them. */
  readonly masks?: MaskFiles | undefined
}

/** The same crops, cut out on the device of images that lie there (cache/device-images.ts). */
export interface PlacedSpec extends Omit<CropSpec, 'kind'> {
  readonly kind: 'placed'
}

export type ViewSpec = CropSpec | PlacedSpec
export type ViewSpecs = Readonly<Record<string, ViewSpec>>

/** The properties of samples that determine fields. */
export interface SampleType {
  readonly channels: number
  /** T of rasters; null for images. */
  readonly frames?: number | null
  readonly fitting?: Pick<Fitting, 'isExact' | 'budget'> | null | undefined
}

/** Names of the fields with the times and the metres per pixel of a view; only of rasters. */
export const timesOf = (view: string) => `${view}.times`
export const resolutionOf = (view: string) => `${view}.resolution`
/** Of images with sizes of their own: height and width of each, whose pixels are the first of its row. */
export const extentOf = (view: string) => `${view}.extent`
/** Of views with masks: which patches they hide. */
export const hiddenOf = (view: string) => `${view}.hidden`

/** Fields by kind of view. */
const fieldsOfKind: {
  readonly [K in ViewSpec['kind']]: (
    name: string,
    spec: ViewSpec & { kind: K },
    type: SampleType,
  ) => FieldSpecs
} = {
  crop: (name, { count, size }, { channels, frames = null, fitting }) => {
    if (frames !== null)
      return {
        [name]: { type: 'float32', count, shape: [frames, channels, ...size] },
        [timesOf(name)]: { type: 'float64', count, shape: [frames] },
        [resolutionOf(name)]: { type: 'float64', count, shape: [] },
      }
    const type = fitting?.isExact ? 'float32' : 'uint8'
    if (!fitting?.budget) return { [name]: { type, count, shape: [...size, channels] } }
    return {
      [name]: { type, count, shape: [mostPixels(fitting.budget), channels] },
      [extentOf(name)]: { type: 'int32', count, shape: [2] },
    }
  },
  placed: (name, { count }) => ({ [name]: { type: 'int32', count, shape: [placeFields.length] } }),
}

/** The fields of a batch of views. */
export const fieldsOfViews = (views: ViewSpecs, type: SampleType): FieldSpecs =>
  Object.assign({}, ...Object.entries(views).map(([name, spec]) => fieldsOf(name, spec, type)))

const fieldsOf = <K extends ViewSpec['kind']>(
  name: string,
  spec: ViewSpec & { kind: K },
  type: SampleType,
): FieldSpecs => ({
  ...fieldsOfKind[spec.kind as K](name, spec, type),
  ...(spec.masks && {
    [hiddenOf(name)]: { type: 'uint8', count: spec.count, shape: [spec.masks.grid.h, spec.masks.grid.w] },
  }),
})

/** One crop of each sample. */
export interface CropCopy {
  readonly view: string
  readonly copy: number
  readonly spec: ViewSpec
  /** Prefix of its stream names: '' for the only crop. */
  readonly stream: string
  /** Overrides the sample settings. */
  readonly photometric: PhotometricRecipe | null | undefined
}

/** All crops of a sample, in the order of the views. */
export function copiesOf(views: ViewSpecs): CropCopy[] {
  const all = Object.entries(views)
  const isOnly = all.length === 1 && all[0]![1].count === 1
  return all.flatMap(([view, spec]) =>
    Array.from({ length: spec.count }, (_, copy) => {
      const { photometric } = spec
      const own = Array.isArray(photometric) ? photometric[copy] : (photometric as PhotometricRecipe | null)
      return { view, copy, spec, stream: isOnly ? '' : `${view}.${copy} `, photometric: own }
    }),
  )
}
