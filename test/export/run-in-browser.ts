// Runs a graph by onnxruntime-web's WebAssembly, which is what a browser does.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Graph } from '../../src/onnx/graph.ts'
import { onnxParts, writeParts } from '../../src/onnx/onnx-file.ts'
import type { TensorData } from '../../src/onnx/session.ts'
import { workFolder } from './run-graph.ts'

type Ort = typeof import('onnxruntime-web')

const tensorOf = (ort: Ort, { values, shape }: TensorData) =>
  values instanceof Float32Array
    ? new ort.Tensor('float32', values, shape)
    : new ort.Tensor('int64', values, shape)

/** The outputs, by name. */
export async function runInBrowser(graph: Graph, inputs: Readonly<Record<string, TensorData>>) {
  const ort = await import('onnxruntime-web')
  ort.env.wasm.numThreads = 1
  const path = join(await workFolder(), 'graph.onnx')
  writeParts(path, onnxParts(graph, {}, '0'))
  const session = await ort.InferenceSession.create(readFileSync(path), { executionProviders: ['wasm'] })
  try {
    const feeds = Object.entries(inputs).map(([name, data]) => [name, tensorOf(ort, data)] as const)
    const made = await session.run(Object.fromEntries(feeds))
    return new Map(
      Object.entries(made).map(([name, { dims, data }]) => [
        name,
        { shape: dims, values: data as Float32Array },
      ]),
    )
  } finally {
    await session.release()
  }
}
