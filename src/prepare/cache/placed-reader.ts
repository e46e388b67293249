/**
 * Samples of images whose pixels lie elsewhere, on the device: a sample is where it is cut out. Everything else – draws, substitutes, order,
 * credits – is that of every reader.
 */
import type { Size } from '../../source/box.ts'
import type { SampleFiles } from '../../source/image-folder.ts'
import { checkSize } from '../decode/image-size.ts'
import { reasonOf } from '../decode/refused-file.ts'
import { cropsOf, type ImageReader } from '../image-reader.ts'

/** Can be sent to other threads by structured clone. */
export interface PlacedImages extends SampleFiles {
  readonly kind: 'placed'
  /** Of every image. */
  readonly size: Size
  /** Why images without pixels cannot be used, by index. */
  readonly unusable: ReadonlyMap<number, string>
}

/** The numbers of a place: index of the image, left, top, width and height of the box, 1 if mirrored. */
export const placeFields = ['index', 'left', 'top', 'width', 'height', 'flip'] as const

export function placedReader({ size, unusable }: Pick<PlacedImages, 'size' | 'unusable'>): ImageReader {
  return {
    together: Number.POSITIVE_INFINITY,
    atOnce: 1,
    close: () => {},
    async read(images, space) {
      let refused: string | null = null
      try {
        checkSize(size, space)
      } catch (error) {
        refused = reasonOf(error)
      }
      const reasons = images.map(({ index }) => unusable.get(index) ?? refused)
      for (const [crop, { out }] of cropsOf(space).entries()) {
        const places = new Int32Array(out.buffer, out.byteOffset, out.byteLength / 4)
        for (const [i, { index, row, place }] of images.entries()) {
          if (reasons[i] !== null) continue
          const { box, flip } = place(size, crop)
          const at = row * placeFields.length
          places[at] = index
          places[at + 1] = box.left
          places[at + 2] = box.top
          places[at + 3] = box.width
          places[at + 4] = box.height
          places[at + 5] = flip ? 1 : 0
        }
      }
      return reasons
    },
  }
}
