/** What an exported file tells of itself beside the graph. All values are texts; those with several parts are JSON. */
import { type FormatRow, formats, type GraphName } from './formats.ts'
import type { Metadata } from './metadata-in.ts'
import type { PixelsInput } from './pixels-input.ts'

export interface ExportFacts {
  readonly graph: GraphName
  /** Of the outputs of its format those that it has. */
  readonly outputs: readonly string[]
  readonly version: string
  /** What `run/weights-metadata.ts` reads: the configuration and the statistics. */
  readonly weights: Metadata
  readonly input: PixelsInput
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

export const INPUT_KEY = 'sherd.input'
export const FORMAT_KEY = 'sherd.format'
export const OUTPUTS_KEY = 'sherd.outputs'
export const CLASSES_KEY = 'sherd.classes'
export const PRECISION_KEY = 'sherd.precision'

export const exportMetadata = (facts: ExportFacts): Metadata => {
  const { values, shape } = facts.input
  const layout = shape.length === 4 ? 'B, T, C, H, W' : 'B, C, H, W'
  const { bands, classes, resolution } = facts
  const { format, inputs, outputs }: FormatRow = formats[facts.graph]
  return {
    [FORMAT_KEY]: format,
    'sherd.version': facts.version,
    [PRECISION_KEY]: facts.precision,
    ...(facts.step !== null && { 'sherd.step': String(facts.step) }),
    ...facts.weights,
    [INPUT_KEY]: JSON.stringify({ layout, shape, values, meaning: meanings[values], bands, resolution }),
    ...(Object.keys(inputs).length > 0 && { 'sherd.inputs': JSON.stringify(inputs) }),
    [OUTPUTS_KEY]: JSON.stringify(Object.fromEntries(facts.outputs.map((name) => [name, outputs[name]]))),
    ...(classes && { [CLASSES_KEY]: JSON.stringify(classes) }),
  }
}
