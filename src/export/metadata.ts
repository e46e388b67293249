/** What an exported file tells of itself beside the graph. All values are texts; those with several parts are JSON. */

import type { Metadata } from '../onnx/read-metadata.ts'
import { type FormatRow, formats, type GraphName } from './formats.ts'
import type { PixelsInput } from './pixels-input.ts'

export interface ExportFacts {
  readonly graph: GraphName
  /** Of the inputs and outputs of its format those that it has. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly version: string
  /** What `checkpoint/weights-metadata.ts` reads: the configuration and the statistics. */
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
/** Of inputs beside the pixels, where there are any. */
export const INPUTS_KEY = 'sherd.inputs'
export const OUTPUTS_KEY = 'sherd.outputs'
export const CLASSES_KEY = 'sherd.classes'
export const PRECISION_KEY = 'sherd.precision'

const told = (names: readonly string[], meanings: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.fromEntries(names.map((name) => [name, meanings[name]])))

export const exportMetadata = (facts: ExportFacts): Metadata => {
  const { values, shape, grid = null } = facts.input
  const layout = shape.length === 4 ? 'B, T, C, H, W' : 'B, C, H, W'
  const { bands, classes, resolution } = facts
  const { format, inputs, outputs }: FormatRow = formats[facts.graph]
  return {
    [FORMAT_KEY]: format,
    'sherd.version': facts.version,
    [PRECISION_KEY]: facts.precision,
    ...(facts.step !== null && { 'sherd.step': String(facts.step) }),
    ...facts.weights,
    [INPUT_KEY]: JSON.stringify({
      layout,
      shape,
      values,
      meaning: meanings[values],
      bands,
      resolution,
      grid,
    }),
    ...(facts.inputs.length > 0 && { [INPUTS_KEY]: told(facts.inputs, inputs) }),
    [OUTPUTS_KEY]: told(facts.outputs, outputs),
    ...(classes && { [CLASSES_KEY]: JSON.stringify(classes) }),
  }
}
