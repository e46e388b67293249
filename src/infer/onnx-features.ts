/** The features of an exported encoder, which are its outputs. Needs no LibTorch. */
import { SherdError } from '../errors.ts'
import type { FeatureName, VectorFeature, WholeFeature } from '../token/feature.ts'
import type { OnnxModel } from './onnx-model.ts'

/** The outputs that a feature is made of, behind one another. */
const outputsOf = {
  cls: ['cls'],
  mean: ['mean'],
  'cls+mean': ['cls', 'mean'],
  pooled: ['pooled'],
  patches: ['patches'],
} as const satisfies Record<WholeFeature | 'patches', readonly string[]>

type Has = Pick<OnnxModel, 'outputs'>

/** The features that a graph has. */
const namesIn = ({ outputs }: Has) =>
  (Object.keys(outputsOf) as (keyof typeof outputsOf)[]).filter((name) =>
    outputsOf[name].every((output) => outputs.includes(output)),
  )

export const onnxVectors = (model: Has): VectorFeature[] =>
  namesIn(model).filter((name) => name !== 'patches')

/** Those that are made where none is asked for. */
export const usualOutputs = (model: Has): VectorFeature[] =>
  onnxVectors(model).filter((name) => name !== 'cls+mean')

/** The vector that stands for an image where none is asked for. */
export const ownOutput = ({ config, ...model }: Has & Pick<OnnxModel, 'config'>): VectorFeature =>
  onnxVectors(model).find((name) => name === config.model.feature) ?? 'mean'

/** The outputs that make a feature. Throws `USAGE` for one that the graph has not. */
export function featureOutputs(
  model: Pick<OnnxModel, 'outputs' | 'origin'>,
  name: FeatureName,
): readonly string[] {
  const names = namesIn(model)
  const found = names.find((each) => each === name)
  if (found) return outputsOf[found]
  throw new SherdError(
    'USAGE',
    `${model.origin.path} has no feature ${name}: its graph gives ${names.join(', ')}. Others are made by the model that it was exported from.`,
  )
}

/** Outputs [rows, …] behind one another, row by row. */
export function joinedOutputs(parts: readonly Float32Array[], rows: number): Float32Array {
  if (parts.length === 1) return parts[0]!
  const widths = parts.map(({ length }) => length / rows)
  const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (let row = 0; row < rows; row++)
    for (const [i, part] of parts.entries()) {
      values.set(part.subarray(row * widths[i]!, (row + 1) * widths[i]!), at)
      at += widths[i]!
    }
  return values
}
