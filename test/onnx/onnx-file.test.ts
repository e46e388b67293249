import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Graph } from '../../src/onnx/graph.ts'
import { onnxParts, readMetadata, writeParts } from '../../src/onnx/onnx-file.ts'
import { bytes, float, integer, packed, text } from '../../src/onnx/protobuf.ts'
import { workFolder } from '../export/run-graph.ts'

const hex = (parts: readonly Uint8Array[]) => Buffer.concat(parts).toString('hex')

describe('the wire format', () => {
  // The examples of the encoding's own documentation, and numbers at its edges.
  it.each([
    [integer(1, 150), '089601'],
    [integer(2, 0), '1000'],
    [integer(1, -1), '08ffffffffffffffffff01'],
    [integer(20, 7), 'a00107'], // a field beyond 15 has two bytes
    [text(2, 'testing'), '120774657374696e67'],
    [packed(6, [3, 270, 86942]), '3206038e029ea705'],
    [float(2, 0.5), '150000003f'],
    [bytes(9, Uint8Array.of(1, 2)), '4a020102'],
  ])('%#', (parts, expected) => expect(hex(parts)).toBe(expected))
})

const graph: Graph = {
  ...{ name: 'g', opset: 17, values: [] },
  nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'], attributes: {} }],
  initializers: [{ name: 'w', type: 'float32', shape: [2], values: Float32Array.of(1, 2) }],
  inputs: [{ name: 'x', type: 'float32', shape: [{ batch: 1 }, 2] }],
  outputs: [{ name: 'y', type: 'float32', shape: [{ batch: 1 }, 2] }],
}
const metadata = { 'sherd.format': 'a/1', ä: 'ö ü'.repeat(100), empty: '' }

it('a file is written as onnx.proto3 numbers its fields', () => {
  expect(hex(onnxParts(graph, { k: 'v' }, '1'))).toBe(
    [
      '0808', // ir_version: 8
      '12057368657264', // producer_name: "sherd"
      '1a0131', // producer_version: "1"
      '42040a001011', // opset_import { domain: "", version: 17 }
      '72060a016b120176', // metadata_props { key: "k", value: "v" }
      '3a5e', // graph, 94 bytes
      '0a110a01780a01771201791a0179220341', // node { input: "x", "w"; output: "y"; name: "y"; op_type: "A…
      '6464', // …dd" }
      '120167', // name: "g"
      '2a120a01021001420177' + '4a080000803f00000040', // initializer { dims: 2, data_type: 1, name: "w", raw_data }
    ].join('') +
      '5a180a0178' + // input { name: "x",
      '12130a110801120d' + // type { tensor_type { elem_type: 1, shape {
      '0a0712056261746368' + // dim { dim_param: "batch" }
      '0a020802' + // dim { dim_value: 2 } } } } }
      '62180a0179' + // output, the same
      '12130a110801120d0a07120562617463680a020802',
  )
})

it('gives back the metadata of the graph', async () => {
  const path = join(await workFolder(), 'graph.onnx')
  writeParts(path, onnxParts(graph, metadata, '1'))
  expect(readMetadata(path)).toEqual(metadata)
})

it.each<[string, (whole: Buffer) => Uint8Array, string]>([
  ['a file that is cut off', (whole) => whole.subarray(0, -3), 'no protocol buffer at byte'],
  ['another file', () => Buffer.from('<html><body>not found</body></html>'), 'no protocol buffer'],
  ['an empty file', () => Buffer.alloc(0), 'there is no graph in it'],
  [
    'a length beyond the end',
    () => Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f),
    'no protocol buffer at byte 0',
  ],
  ['a number that does not end', () => new Uint8Array(20).fill(0xff), 'no protocol buffer at byte 0'],
])('refuses %s', async (_, damage, message) => {
  const path = join(await workFolder(), 'graph.onnx')
  writeFileSync(path, damage(Buffer.concat(onnxParts(graph, metadata, '1'))))
  expect(() => readMetadata(path)).toThrow(message)
})

it('refuses a file that is not there', () => {
  expect(() => readMetadata('/nowhere.onnx')).toThrow('/nowhere.onnx cannot be read as an ONNX file')
})
