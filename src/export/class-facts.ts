/** What the classes of transformers and the functions of timm ask of a model. */
import { encoderBlocks, prefixOf } from '../model/dimensions.ts'
import { type Activation, activationOf, activations } from '../model/feed-forward.ts'
import { rotaryPeriods } from '../model/rotary-position.ts'
import type { ExportedModel } from './exported-model.ts'

/** Of queries, keys and values, in the words of `traits.ts`. */
export const biases = 'biases of queries, keys and values'

export const anyActivation = Object.keys(activations) as readonly Activation[]
export const activationIn = ({ dimensions }: ExportedModel): Activation =>
  activationOf(encoderBlocks(dimensions))

export const registersOf = ({ dimensions }: ExportedModel): number =>
  prefixOf(dimensions).reduce((sum, { kind, count }) => sum + (kind === 'register' ? count : 0), 0)

/** Where LayerScale starts; null: there is none. */
export const scaleOf = ({ dimensions }: ExportedModel): number | null =>
  dimensions.variant?.layerScale?.initial ?? null

/** The base from which transformers and timm compute the periods; null where the model's are others. */
export function rotaryBase({ dimensions: { width, heads, variant } }: ExportedModel): number | null {
  const periods = variant?.rotaryPositions?.periods ?? []
  const d = width / heads
  const base = periods.length > 1 ? Math.round(1e3 * periods[1]! ** (d / 4)) / 1e3 : 100
  const exact = rotaryPeriods(d, base)
  const isNear = periods.every((period, k) => Math.abs(period / exact[k]! - 1) < 1e-6)
  return isNear ? base : null
}
/** Why periods cannot be written, where no base gives them. */
export function otherPeriods(model: ExportedModel): string | null {
  if (rotaryBase(model) !== null) return null
  const { width, heads, variant } = model.dimensions
  const periods = variant?.rotaryPositions?.periods ?? []
  const exact = rotaryPeriods(width / heads)
  const away = periods.map((period, k) => Math.abs(period / exact[k]! - 1))
  const k = away.indexOf(Math.max(...away))
  return `Its periods of rotary positions are the powers of no base, as where its authors have rounded them: number ${k + 1} of ${periods.length} is ${periods[k]}, and transformers and timm compute ${Number(exact[k]!.toPrecision(7))}. Export it as ONNX (sherd export onnx)`
}
