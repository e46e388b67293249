/** Metadata of exported files. All values are strings, some of them JSON. */

import type { Metadata } from '../onnx/read-metadata.ts'
import { type FormatRow, formats, type GraphName } from './formats.ts'
import type { PixelsInput } from './pixels-input.ts'

export interface ExportFacts {
  readonly graph: GraphName
  /** Those of its format that the graph has. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly version: string
  /** Configuration and statistics, for `checkpoint/weights-metadata.ts`. */
  readonly weights: Metadata
  readonly input: PixelsInput
  /** Names of the channels; null for images. */
  readonly bands: readonly string[] | null
  readonly classes: readonly string[] | null
  /** Metres per pixel of the positions; null if they do not depend on it. */
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
/** Of inputs besides the pixels, if there are any. */
export const INPUTS_KEY = 'sherd.inputs'
export const OUTPUTS_KEY = 'sherd.outputs'
export const CLASSES_KEY = 'sherd.classes'
export const PRECISION_KEY = 'sherd.precision'

const described = (names: readonly string[], meanings: Readonly<Record<string, string>>): string =>
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
    ...(facts.inputs.length > 0 && { [INPUTS_KEY]: described(facts.inputs, inputs) }),
    [OUTPUTS_KEY]: described(facts.outputs, outputs),
    ...(classes && { [CLASSES_KEY]: JSON.stringify(classes) }),
  }
}
