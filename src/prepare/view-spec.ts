/**
 * What an objective wants to see of a sample, as data: it crosses to the decoding thread. A new kind of view is a member of the union, a
 * row of `fieldsOfKind`, and one of `uploads` (upload.ts).
 */
import type { PhotometricRecipe } from './augment/photometric.ts'
import type { CropKind } from './crop.ts'
import type { FieldSpecs } from './fields.ts'

/** Parts of an image, each resized, mirrored or not, and changed in its colours. */
export interface CropSpec {
  readonly kind: 'crop'
  /** Copies, each with draws of its own. */
  readonly count: number
  readonly size: readonly [height: number, width: number]
  /** These four where they are not those of the samples. */
  readonly crop?: CropKind
  readonly scale?: readonly [number, number]
  readonly ratio?: readonly [number, number]
  readonly flip?: boolean
  /** Of image files of three channels: of all copies, or of each; null changes nothing, even where the samples say otherwise. */
  readonly photometric?: PhotometricRecipe | readonly PhotometricRecipe[] | null
}

export type ViewSpec = CropSpec
export type ViewSpecs = Readonly<Record<string, ViewSpec>>

/** What samples are, as far as fields depend on it. */
export interface SampleType {
  readonly channels: number
  /** T of rasters; null for images. */
  readonly frames?: number | null
}

/** The field of the times of a view's frames, and that of its metres a pixel; only rasters have them. */
export const timesOf = (view: string) => `${view}.times`
export const resolutionOf = (view: string) => `${view}.resolution`

/** What a view fills. */
const fieldsOfKind: {
  readonly [K in ViewSpec['kind']]: (
    name: string,
    spec: ViewSpec & { kind: K },
    type: SampleType,
  ) => FieldSpecs
} = {
  crop: (name, { count, size }, { channels, frames = null }) =>
    frames === null
      ? { [name]: { type: 'uint8', count, shape: [...size, channels] } }
      : {
          [name]: { type: 'float32', count, shape: [frames, channels, ...size] },
          [timesOf(name)]: { type: 'float64', count, shape: [frames] },
          [resolutionOf(name)]: { type: 'float64', count, shape: [] },
        },
}

/** The fields of a batch of views. */
export const fieldsOfViews = (views: ViewSpecs, type: SampleType): FieldSpecs =>
  Object.assign({}, ...Object.entries(views).map(([name, spec]) => fieldsOfKind[spec.kind](name, spec, type)))

/** One crop of each sample. */
export interface CropCopy {
  readonly view: string
  readonly copy: number
  readonly spec: CropSpec
  /** What goes before the names of its streams: nothing for the only crop there is. */
  readonly stream: string
  /** Instead of the samples'. */
  readonly photometric: PhotometricRecipe | null | undefined
}

/** All crops that are made of a sample, in the order of the views. */
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
