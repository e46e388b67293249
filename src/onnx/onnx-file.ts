/**
 * Writes ONNX files: a graph and metadata in the messages of onnx.proto3, whose field numbers these are. Reads only the metadata, which
 * ONNX Runtime does not expose.
 */
import { closeSync, fstatSync, fsyncSync, readSync, writeSync } from 'node:fs'
import { messageOf, SherdError } from '../errors.ts'
import { writing } from '../files/cannot-write.ts'
import { isLfsPointer, lfsAdvice } from '../files/lfs-pointer.ts'
import { openDraft, openGiven } from '../files/regular-file.ts'
import {
  type Attribute,
  elementTypes,
  type Graph,
  type Initializer,
  type Node,
  type ValueInfo,
  weightBytes,
} from './graph.ts'
import { byteLength, bytes, float, integer, message, type Parts, packed, text } from './protobuf.ts'
import { type Metadata, MODEL, metadataIn } from './read-metadata.ts'
import { type Size, sizeName } from './symbolic-sizes.ts'

/** That of ONNX 1.12, for opset 17. */
const IR_VERSION = 8
/** The limit of Protocol Buffers. */
const MOST_BYTES = 2 ** 31 - 1

const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12, value: 13 }

const kinds = { float: 1, int: 2, text: 3, ints: 7 } // AttributeProto.AttributeType

function attribute(name: string, value: Attribute): Parts {
  const type = (kind: keyof typeof kinds) => integer(20, kinds[kind])
  if ('float' in value) return [...text(1, name), ...float(2, value.float), ...type('float')]
  if ('int' in value) return [...text(1, name), ...integer(3, value.int), ...type('int')]
  if ('text' in value) return [...text(1, name), ...text(4, value.text), ...type('text')]
  return [...text(1, name), ...packed(8, value.ints), ...type('ints')]
}

const node = ({ op, inputs, outputs, attributes }: Node): Parts => [
  ...inputs.flatMap((name) => text(1, name)),
  ...outputs.flatMap((name) => text(2, name)),
  ...text(3, outputs[0]!), // node name, for error messages
  ...text(4, op),
  ...Object.entries(attributes).flatMap(([name, value]) => message(5, attribute(name, value))),
]

const initializer = ({ name, type, shape, values }: Initializer): Parts => [
  ...packed(1, shape),
  ...integer(2, elementTypes[type].code),
  ...text(8, name),
  ...bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
]

const valueInfo = ({ name, type, shape }: ValueInfo, sizeNames: Graph['sizeNames'] = {}): Parts => {
  const dimension = (size: Size): Parts =>
    typeof size === 'number' ? integer(1, size) : text(2, sizeNames[sizeName(size)] ?? sizeName(size))
  return [
    ...text(1, name),
    ...message(
      2,
      message(1, [
        ...integer(1, elementTypes[type].code),
        ...message(
          2,
          shape.flatMap((size) => message(1, dimension(size))),
        ),
      ]),
    ),
  ]
}

const graphParts = (graph: Graph): Parts => [
  ...graph.nodes.flatMap((each) => message(GRAPH.node, node(each))),
  ...text(GRAPH.name, graph.name),
  ...graph.initializers.flatMap((each) => message(GRAPH.initializer, initializer(each))),
  ...graph.inputs.flatMap((each) => message(GRAPH.input, valueInfo(each, graph.sizeNames))),
  ...graph.outputs.flatMap((each) => message(GRAPH.output, valueInfo(each, graph.sizeNames))),
  ...graph.values.flatMap((each) => message(GRAPH.value, valueInfo(each, graph.sizeNames))),
]

/** Throws `VALUE` above the size limit of the format. */
export function onnxParts(graph: Graph, metadata: Metadata, version: string): Parts {
  const parts = [
    ...integer(MODEL.irVersion, IR_VERSION),
    ...text(MODEL.producer, 'sherd'),
    ...text(MODEL.producerVersion, version),
    ...message(MODEL.opset, [...text(1, ''), ...integer(2, graph.opset)]),
    ...Object.entries(metadata).flatMap(([key, value]) =>
      message(MODEL.metadata, [...text(1, key), ...text(2, value)]),
    ),
    ...message(MODEL.graph, graphParts(graph)),
  ]
  if (byteLength(parts) > MOST_BYTES)
    throw new SherdError(
      'VALUE',
      `The graph has ${(weightBytes(graph) / 1e9).toFixed(2)} GB of weights, and an ONNX file holds 2.14 GB at most: export it with --precision fp16 or int8.`,
    )
  return parts
}

/** Writes and fsyncs. Not atomic: write to a temporary name. */
export function writeParts(path: string, parts: Parts): void {
  writing(path, byteLength(parts), () => {
    const fd = openDraft(path)
    try {
      for (const part of joined(parts))
        for (let done = 0; done < part.byteLength; ) done += writeSync(fd, part, done, part.byteLength - done)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
}

/** Joins small parts, to save system calls. */
function* joined(parts: Parts): Generator<Uint8Array> {
  let small: Uint8Array[] = []
  for (const part of parts) {
    if (part.byteLength < 65_536) small.push(part)
    else {
      yield Buffer.concat(small)
      small = []
      yield part
    }
  }
  yield Buffer.concat(small)
}

/** The metadata of a file. Throws `CHECKPOINT` if it is not an ONNX file. */
export function readMetadata(path: string): Metadata {
  const broken = (why: string, cause?: unknown) =>
    new SherdError('CHECKPOINT', `${path} cannot be read as an ONNX file: ${why}`, { cause })
  let fd: number
  try {
    fd = openGiven(path)
  } catch (error) {
    throw broken(messageOf(error), error)
  }
  try {
    const { size } = fstatSync(fd)
    const read = (position: number, length: number) => {
      const target = new Uint8Array(length)
      return target.subarray(0, readSync(fd, target, 0, length, position))
    }
    if (isLfsPointer(read(0, 64))) throw new SherdError('CHECKPOINT', lfsAdvice)
    return metadataIn(read, size)
  } catch (error) {
    throw broken(messageOf(error), error)
  } finally {
    closeSync(fd)
  }
}
