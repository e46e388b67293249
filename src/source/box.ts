/** Sizes and rectangles of images. */

export interface Size {
  readonly width: number
  readonly height: number
}

/** A rectangle of whole pixels inside an image. */
export interface Box extends Size {
  readonly left: number
  readonly top: number
}
