/** One grey picture for a model before anybody else's: what cannot answer is not served. */
import { backboneOf } from '../config/resolve.ts'
import { inputName } from '../export/pixels-input.ts'
import type { TensorData } from '../infer/session.ts'
import { layoutOf } from '../model/backbone.ts'
import type { OnnxModel } from '../run/onnx-model.ts'
import { layoutTokens } from '../token/layout.ts'

const GREY = 128

const indices = (values: readonly number[]): TensorData => ({
  values: BigInt64Array.from(values, BigInt),
  shape: [1, values.length],
})

/** Throws `CHECKPOINT`, `NON_FINITE` or `TENSOR` for a graph that does not give what its file says. */
export async function tryOut({ graph, session, shape, config, outputs }: OnnxModel): Promise<void> {
  const pixels = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(GREY)
  const tokens = [...Array(layoutTokens(layoutOf(backboneOf(config)))).keys()]
  const masked = { kept: indices(tokens.slice(0, 1)), hidden: indices(tokens.slice(1)) }
  await session.run(
    { [inputName]: { values: pixels, shape: [1, ...shape] }, ...(graph === 'autoencoder' && masked) },
    outputs,
  )
}
