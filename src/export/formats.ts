/** Formats of exported files, for their readers. Runs in browsers. */

export interface FormatRow {
  /** The version is raised if readers of older files must change. */
  readonly format: string
  /** Name of the file, without the suffix of the precision and `.onnx`. */
  readonly stem: string
  /** Possible inputs besides the pixels, with descriptions. */
  readonly inputs: Readonly<Record<string, string>>
  /** Possible outputs, with descriptions. */
  readonly outputs: Readonly<Record<string, string>>
}

/** Of encoders with or without a head. */
const positionsInput = {
  positions:
    'float32 [B, N, D], only for models with dates: the positions of the tokens by group, then frame, then patch; each concatenates sines and cosines of the place, the group and the date fields',
}

/** A new graph is one row here, and one in `graphs.ts`. */
export const formats = {
  encoder: {
    ...{ format: 'sherd-encoder/1', stem: 'encoder' },
    inputs: positionsInput,
    outputs: {
      cls: '[B, D] the class token after the last norm, of encoders that have one (of the encoder of a classifier that reads the mean: before any, as patches)',
      mean: '[B, D] the mean of the tokens that hold data (of such an encoder: through the norm that its classifier has)',
      pooled:
        '[B, E] what the encoder itself gives of an image, of encoders that do: by attention pooling (SigLIP), the projected class token (CLIP)',
      patches:
        '[B, N, D] the tokens of the patches, row by row; of several groups and frames, group by group and in it frame by frame',
      attention:
        '[B, L, A, P + N] of each of L blocks and A heads: how the cls token (where there is none, the mean of the patches) shares its attention out among P prefix tokens (cls, then registers) and the patches; sums to 1',
      poolingAttention:
        '[B, A, P + N] of encoders with attention pooling: how its query shares its attention out among the tokens; sums to 1',
    },
  },
  autoencoder: {
    ...{ format: 'sherd-autoencoder/1', stem: 'autoencoder' },
    inputs: {
      kept: 'int64 [B, K] the numbers of the tokens that are seen, which must hold data',
      hidden: 'int64 [B, N − K] the numbers of all other tokens, in any order',
    },
    outputs: {
      prediction:
        '[B, T · L, P·P·C] every patch, frame by frame in image order; in it the pixels row by row, channels last; in the space of the target',
    },
  },
  classifier: {
    ...{ format: 'sherd-classifier/1', stem: 'classifier', inputs: positionsInput },
    outputs: {
      logits: '[B, classes] the larger, the likelier; in the order of sherd.classes',
      probabilities:
        '[B, classes] softmax of the logits; where classes do not exclude each other, the sigmoid of each',
    },
  },
  segmenter: {
    ...{ format: 'sherd-segmenter/1', stem: 'segmenter', inputs: positionsInput },
    outputs: {
      logits: '[B, classes, H, W] of every pixel, the larger, the likelier; in the order of sherd.classes',
    },
  },
  encode: {
    ...{ format: 'sherd-encode/1', stem: 'encode', inputs: {} },
    outputs: {
      codes: 'int64 [B, N] the code of each patch, row by row: a number from 0 to the size of the codebook',
      similarity: '[B, N] the cosine of each patch to its code',
    },
  },
  decode: {
    ...{ format: 'sherd-decode/1', stem: 'decode' },
    inputs: { codes: 'int64 [B, N] a code for each patch, row by row' },
    outputs: {
      images:
        '[B, C, H, W] what the codes of a tokenizer of pixels rebuild, 0 to 255 as in an 8-bit image file',
      features: '[B, N, W] what the codes of a tokenizer of features say that its teacher sees at each patch',
    },
  },
} as const satisfies Record<string, FormatRow>

export type GraphName = keyof typeof formats
export const graphNames = Object.keys(formats) as GraphName[]

/** The graph of a file's format; null for unknown formats. */
export const graphOfFormat = (format: string | undefined): GraphName | null =>
  graphNames.find((name) => formats[name].format === format) ?? null

/** Graphs of codes, which nothing here but a comparison runs. */
export const isOfTokenizer = (graph: GraphName): boolean => graph === 'encode' || graph === 'decode'
