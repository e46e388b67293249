/** Runs a model once on a grey image before it is served. */
import { setTimeout as sleep } from 'node:timers/promises'
import { backboneOf } from '../config/resolve.ts'
import { inputName } from '../export/pixels-input.ts'
import type { OnnxModel } from '../infer/onnx-model.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import type { TensorData } from '../onnx/session.ts'
import { layoutTokens } from '../token/layout.ts'

const GREY = 128
/** A graph that takes longer may just be large: it is served, and requests have their own time limit. */
const PATIENCE_MS = 5000

const indices = (values: readonly number[]): TensorData => ({
  values: BigInt64Array.from(values, BigInt),
  shape: [1, values.length],
})

/** Throws `CHECKPOINT`, `NON_FINITE` or `TENSOR` if the outputs are not as the file's metadata says. `most`: ms to wait. */
export async function tryOut(
  { graph, session, shape, config, outputs }: OnnxModel,
  most: number,
): Promise<void> {
  const pixels = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(GREY)
  const tokens = [...Array(layoutTokens(layoutOf(backboneOf(config)))).keys()]
  const masked = { kept: indices(tokens.slice(0, 1)), hidden: indices(tokens.slice(1)) }
  const inputs = {
    [inputName]: { values: pixels, shape: [1, ...shape] },
    ...(graph === 'autoencoder' && masked),
  }
  const made = session.run(inputs, outputs)
  const waited = new AbortController()
  try {
    const late = sleep(Math.min(PATIENCE_MS, most), undefined, { signal: waited.signal })
    await Promise.race([made, late])
  } finally {
    waited.abort()
    made.catch(() => {}) // later errors are not reported
  }
}
