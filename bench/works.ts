/** What is measured: the training steps that users of small, medium and large images take. One row a benchmark. */
import type { ConfigInput } from '../src/config/schema.ts'

export interface Work {
  readonly name: string
  readonly title: string
  readonly model: NonNullable<ConfigInput['model']> & {
    readonly imageSize: [number, number]
    readonly patchSize: number
  }
  readonly batch: number
  /** Steps of one round; sherd and the peer take rounds in turn. */
  readonly steps: number
}

export const works: readonly Work[] = [
  {
    name: 'tiny',
    title: 'ViT-Tiny/4, 32 × 32, batch 128',
    model: {
      size: 'tiny',
      imageSize: [32, 32],
      patchSize: 4,
      decoderWidth: 192,
      decoderDepth: 4,
      decoderHeads: 3,
    },
    batch: 128,
    steps: 4,
  },
  {
    name: 'small',
    title: 'ViT-Small/8, 64 × 64, batch 64',
    model: {
      size: 'small',
      imageSize: [64, 64],
      patchSize: 8,
      decoderWidth: 192,
      decoderDepth: 4,
      decoderHeads: 6,
    },
    batch: 64,
    steps: 4,
  },
  {
    name: 'base',
    title: 'ViT-Base/16, 224 × 224, batch 8',
    model: { size: 'base', imageSize: [224, 224], patchSize: 16 },
    batch: 8,
    steps: 2,
  },
]
