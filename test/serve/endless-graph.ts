// A graph whose run never ends, as no graph of sherd's does: for what must happen all the same.
import { appendFileSync } from 'node:fs'
import { bytes, integer, message, type Parts, packed, text } from '../../src/onnx/protobuf.ts'

const [INT64, BOOL] = [7, 9] // TensorProto.DataType

const value = (field: number, name: string, type: number): Parts =>
  message(field, [...text(1, name), ...message(2, message(1, [...integer(1, type), ...message(2, [])]))])
const node = (
  field: number,
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  more: Parts = [],
) =>
  message(field, [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(4, type),
    ...more,
  ])
const scalar = (name: string, type: number, raw: readonly number[]): Parts =>
  message(5, [...packed(1, []), ...integer(2, type), ...text(8, name), ...bytes(9, Uint8Array.from(raw))])

/** Adds to a graph an output that counts for ever: fields of a second message are those of the first. */
export function makeEndless(path: string): void {
  const body = [
    ...node(1, 'Identity', ['go'], ['go on']),
    ...node(1, 'Identity', ['count'], ['counted']),
    ...text(2, 'body'),
    ...[value(11, 'turn', INT64), value(11, 'go', BOOL), value(11, 'count', INT64)].flat(),
    ...[value(12, 'go on', BOOL), value(12, 'counted', INT64)].flat(),
  ]
  const attribute = message(5, [...text(1, 'body'), ...message(6, body), ...integer(20, 5)])
  const graph = [
    ...node(1, 'Loop', ['', 'for ever', 'none'], ['endless'], attribute),
    ...scalar('for ever', BOOL, [1]),
    ...scalar('none', INT64, [0, 0, 0, 0, 0, 0, 0, 0]),
    ...value(12, 'endless', INT64),
  ]
  for (const part of message(7, graph)) appendFileSync(path, part)
}
