/** Which file of an export folder a command means. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { formats, type GraphName } from './formats.ts'

/** `path`; of a folder with files of this graph, the most precise. */
export function exportedFile(path: string, graph: GraphName): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path
  const { stem } = formats[graph]
  const names = readdirSync(path)
  const found = ['', '-fp16', '-int8']
    .map((suffix) => `${stem}${suffix}.onnx`)
    .find((name) => names.includes(name))
  return found === undefined ? path : join(path, found)
}
