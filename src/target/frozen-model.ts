/** The interface of frozen teachers, which are neither trained nor saved. The trainer opens them. */
import { SherdError } from '../errors.ts'
import type { View } from '../prepare/view.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { layoutInWords, type TokenLayout } from '../token/layout.ts'

export interface FrozenModel {
  /** SHA-256 of its file of weights. */
  readonly hash: string
  /** Width of its tokens. */
  readonly width: number
  readonly depth: number
  /** [H, W] of the views that it takes. */
  readonly imageSize: readonly [height: number, width: number]
  /** Of its tokens. */
  readonly layout: TokenLayout
  /**
   * Features of a view in the run's normalisation, without gradient: outputs [B, N, width] of blocks (from 0) without cls; with null, of the
   * last block after the final norm.
   */
  features(view: View, blocks: readonly number[] | null): readonly Tensor[]
  /**
   * How much each token is attended to in the last block, [B, N] in float32, without gradient: by cls, or on average by all patches where
   * there is none; the mean over the heads. With the features that are wanted beside it, from one pass.
   */
  attention(view: View, also?: WantedFeatures): Attended
}

/** What says features alone. */
export type FeatureModel = Omit<FrozenModel, 'attention'>

/** As `FrozenModel.features` takes them. */
export interface WantedFeatures {
  readonly blocks: readonly number[] | null
}

type TeacherInput = Pick<FrozenModel, 'layout' | 'imageSize'>

/** Throws `CONFIG` if the tokens are not those of the model. `key`: that of the teacher. */
export function expectTeacherTokens(key: string, teacher: TeacherInput, model: TeacherInput): void {
  const inWords = ({ layout, imageSize: [h, w] }: TeacherInput) =>
    `${layoutInWords(layout)} of images of ${h} × ${w} pixels`
  const [own, wanted] = [inWords(teacher), inWords(model)]
  if (own !== wanted)
    throw new SherdError(
      'CONFIG',
      `${key}: the teacher has ${own}, and the model ${wanted}: set model.imageSize, model.patchSize and bands to its own`,
    )
}

export interface Attended {
  readonly attention: Tensor
  /** Those that were wanted, else none. */
  readonly features: readonly Tensor[]
}
