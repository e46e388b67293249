/** What an exported file tells of itself beside the graph. All values are texts; those with several parts are JSON. */
import type { EncoderInput } from './encoder-graph.ts'
import type { Metadata } from './metadata-in.ts'

export interface ExportFacts {
  readonly version: string
  /** What `run/weights-metadata.ts` reads: the configuration and the statistics. */
  readonly weights: Metadata
  readonly input: EncoderInput
  /** Names of the channels, in their order; null for images. */
  readonly bands: readonly string[] | null
  readonly classes: readonly string[] | null
  /** Metres a pixel that the positions are for; null when they do not depend on it. */
  readonly resolution: number | null
  readonly precision: string
  readonly step: number | null
}

const meanings = {
  bytes:
    'float32 values 0 to 255 as in an 8-bit image file; mean and standard deviation are applied in the graph',
  units:
    'float32 values in the units of the files, NaN where there is no data; clipping, mean and standard deviation are applied in the graph',
}

const outputs = {
  cls: '[B, D] the class token after the last norm',
  mean: '[B, D] the mean of the tokens that hold data',
  patches:
    '[B, N, D] the tokens of the patches, row by row; of several groups and frames, group by group and in it frame by frame',
}

export const INPUT_KEY = 'sherd.input'
export const FORMAT_KEY = 'sherd.format'
/** Raised when a consumer of an older file must do something else. */
export const FORMAT = 'sherd-encoder/1'

export const exportMetadata = (facts: ExportFacts): Metadata => {
  const { values, shape } = facts.input
  const layout = shape.length === 4 ? 'B, T, C, H, W' : 'B, C, H, W'
  const { bands, classes, resolution } = facts
  return {
    [FORMAT_KEY]: FORMAT,
    'sherd.version': facts.version,
    'sherd.precision': facts.precision,
    ...(facts.step !== null && { 'sherd.step': String(facts.step) }),
    ...facts.weights,
    [INPUT_KEY]: JSON.stringify({ layout, shape, values, meaning: meanings[values], bands, resolution }),
    'sherd.outputs': JSON.stringify(outputs),
    ...(classes && { 'sherd.classes': JSON.stringify(classes) }),
  }
}
