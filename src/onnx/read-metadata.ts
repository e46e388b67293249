/** Reads the metadata of an ONNX file without its weights. Also runs in browsers. */
import { SherdError } from '../errors.ts'
import { fieldsIn, type ReadAt } from './protobuf.ts'

export type Metadata = Readonly<Record<string, string>>

/** Fields of ModelProto in onnx.proto3. */
export const MODEL = { irVersion: 1, producer: 2, producerVersion: 3, graph: 7, opset: 8, metadata: 14 }

/** Throws `VALUE` if it is not an ONNX file. */
export function metadataIn(read: ReadAt, size: number): Metadata {
  const fields = [...fieldsIn(read, 0, size)]
  if (!fields.some((field) => field.number === MODEL.graph))
    throw new SherdError('VALUE', 'there is no graph in it')
  return Object.fromEntries(
    fields
      .filter((field) => field.number === MODEL.metadata)
      .map(({ begin, end }) => {
        const entry = { key: '', value: '' }
        for (const part of fieldsIn(read, begin, end))
          entry[part.number === 1 ? 'key' : 'value'] = new TextDecoder().decode(
            read(part.begin, part.end - part.begin),
          )
        return [entry.key, entry.value]
      }),
  )
}
