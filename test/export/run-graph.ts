// Writes a graph and runs it by ONNX Runtime, as those who get the file do.
import { join } from 'node:path'
import { checkGraph } from '../../src/onnx/check-graph.ts'
import type { Graph } from '../../src/onnx/graph.ts'
import { onnxParts, writeParts } from '../../src/onnx/onnx-file.ts'
import { type Output, openSession, type TensorData } from '../../src/onnx/session.ts'
import { folderOfFile } from '../after-file.ts'

export const workFolder = async (): Promise<string> => folderOfFile('sherd-export-')

/** The outputs of a graph that is sound and has one input. */
export const runGraph = (graph: Graph, values: ArrayLike<number>, shape: readonly number[]) =>
  runGraphOn(graph, { [graph.inputs[0]!.name]: { values: Float32Array.from(values), shape } })

/** The outputs of a graph that is sound. */
export async function runGraphOn(
  graph: Graph,
  inputs: Readonly<Record<string, TensorData>>,
): Promise<Record<string, Output>> {
  checkGraph(graph)
  const path = join(await workFolder(), 'graph.onnx')
  writeParts(path, onnxParts(graph, {}, '0'))
  const session = await openSession(path, { threads: 1 })
  try {
    const names = graph.outputs.map(({ name }) => name)
    return await session.run(inputs, names)
  } finally {
    await session.close()
  }
}
