/** Graphs for any batch size, of the model's own grid or of any. */
import type { Graph } from '../onnx/graph.ts'
import { sizeName } from '../onnx/symbolic-sizes.ts'
import type { Tape } from '../tensor/record.ts'
import { atSize } from '../weights/frozen-encoder.ts'
import {
  checkDynamic,
  type DynamicGrid,
  type PositionTables,
  positionTables,
  valuesOfTables,
} from './dynamic-grid.ts'
import { generalTape } from './general-tape.ts'
import type { ExportedEncoder } from './pixels-input.ts'
import { translate } from './translate.ts'

interface Recording<Encoder> {
  /** Null or left out: the model's own grid alone. */
  readonly dynamicGrid?: DynamicGrid | null | undefined
  /** Of an encoder for images of one size. */
  readonly record: (encoder: Encoder, tables: PositionTables, batch: number) => Tape
}

/** Throws `VALUE` for models whose positions are for one grid. */
export function gridGraph<Encoder extends ExportedEncoder>(
  name: string,
  encoder: Encoder,
  { dynamicGrid, record }: Recording<Encoder>,
): Graph {
  if (dynamicGrid) checkDynamic(encoder, dynamicGrid)
  const symbols = { batch: [2, 3, 5] } as const
  const tables = positionTables(encoder, dynamicGrid)
  const constants = valuesOfTables(tables)
  if (!dynamicGrid) {
    const tape = generalTape(symbols, ({ batch }) => record(encoder, tables, batch!))
    return translate(name, tape, { constants })
  }
  const [P, Q] = encoder.dimensions.patchSize
  const places = { rows: [2, 3, 5], columns: [3, 2, 4] } as const
  const tape = generalTape({ ...symbols, ...places }, ({ batch, rows, columns }) =>
    record(atSize(encoder, [rows! * P, columns! * Q]), tables, batch!),
  )
  const sizeNames = { [sizeName({ rows: P })]: 'height', [sizeName({ columns: Q })]: 'width' }
  return translate(name, tape, { constants, sizeNames })
}
