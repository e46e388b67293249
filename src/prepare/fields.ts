/**
 * The fields of a batch: named arrays over samples and copies, in one shared buffer that the decoding thread fills and the main thread
 * reads. Both compute its layout from the same specs.
 */
import { SherdError } from '../errors.ts'

const arrays = {
  uint8: Uint8Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const

export type FieldType = keyof typeof arrays
export type FieldArray = Uint8Array | Int32Array | Float32Array | Float64Array

export interface FieldSpec {
  readonly type: FieldType
  /** Copies of each sample. */
  readonly count: number
  /** Of a copy of a sample; for ragged fields, of a row. */
  readonly shape: readonly number[]
  /** Ragged fields: largest number of rows of a copy. */
  readonly mostRows?: number
  /** Whether samples may lack it. */
  readonly isOptional?: boolean
}

export type FieldSpecs = Readonly<Record<string, FieldSpec>>

export interface Field {
  readonly data: FieldArray
  /** [count, B, …], or [rows, …] for ragged fields. */
  readonly shape: readonly number[]
  /** Ragged fields, [count · B + 1]: sample b of copy c has rows offsets[c · B + b] to offsets[c · B + b + 1]. */
  readonly offsets?: Int32Array
  /** [B], 0 for samples without the field; null if all have it. */
  readonly present?: Uint8Array | null
}

/** By name; null if no sample of the batch has it. */
export type Fields = Readonly<Record<string, Field | null>>

/** A field while it is being filled. */
export interface OpenField {
  readonly spec: FieldSpec
  readonly data: FieldArray
  /** The values of a copy of a sample, to be written; for ragged fields use `put`. */
  at(copy: number, sample: number): FieldArray
  /** Writes the rows of a ragged field, at most `mostRows`. */
  put(copy: number, sample: number, values: ArrayLike<number>): void
  /** Marks the field as missing. */
  leaveOut(sample: number): void
}

export type OpenFields = Readonly<Record<string, OpenField>>

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
const ALIGNMENT = 8

interface Place {
  readonly spec: FieldSpec
  /** Values per copy of a sample. */
  readonly each: number
  readonly data: { readonly at: number; readonly length: number }
  /** Of rows of each copy of a sample, then of their offsets. */
  readonly rows: number
  readonly present: number
}

function placesOf(specs: FieldSpecs, batchSize: number) {
  let bytes = 0
  const take = (length: number, size: number) => {
    const at = bytes
    bytes += Math.ceil((length * size) / ALIGNMENT) * ALIGNMENT
    return at
  }
  const places = Object.entries(specs).map(([name, spec]): readonly [string, Place] => {
    const each = product(spec.shape) * (spec.mostRows ?? 1)
    const samples = spec.count * batchSize
    const length = each * samples
    const data = { at: take(length, arrays[spec.type].BYTES_PER_ELEMENT), length }
    const rows = spec.mostRows === undefined ? -1 : take(samples + 1, 4)
    return [name, { spec, each, data, rows, present: spec.isOptional ? take(batchSize, 1) : -1 }]
  })
  return { places, bytes }
}

export const bytesOfFields = (specs: FieldSpecs, batchSize: number): number =>
  placesOf(specs, batchSize).bytes

function dataIn(buffer: SharedArrayBuffer, { spec, data }: Place): FieldArray {
  const Make: new (buffer: SharedArrayBuffer, at: number, length: number) => FieldArray = arrays[spec.type]
  return new Make(buffer, data.at, data.length)
}

/** Opens the fields of a buffer for writing, in any order and concurrently; call `close` at the end. */
export function openFields(specs: FieldSpecs, batchSize: number, buffer: SharedArrayBuffer) {
  const { places } = placesOf(specs, batchSize)
  const opened = places.map(([name, place]) => {
    const { spec, each } = place
    const data = dataIn(buffer, place)
    const counts = place.rows < 0 ? null : new Int32Array(buffer, place.rows, spec.count * batchSize + 1)
    counts?.fill(0)
    const present = place.present < 0 ? null : new Uint8Array(buffer, place.present, batchSize).fill(1)
    const row = product(spec.shape)
    const at = (copy: number, sample: number) => {
      const first = (copy * batchSize + sample) * each
      return data.subarray(first, first + each)
    }
    const field: OpenField = {
      ...{ spec, data, at },
      put(copy, sample, values) {
        const rows = values.length / row
        if (!counts || rows > spec.mostRows! || !Number.isInteger(rows))
          throw new SherdError(
            'DATA_BROKEN',
            `${name}: expected at most ${spec.mostRows ?? 0} rows of ${row} numbers, got ${values.length} numbers. Raise the field's mostRows.`,
          )
        at(copy, sample).set(values)
        counts[1 + copy * batchSize + sample] = rows
      },
      leaveOut(sample) {
        if (!present) throw new SherdError('BUG', `${name} is not optional`)
        present[sample] = 0
        for (let copy = 0; copy < spec.count; copy++) at(copy, sample).fill(0)
      },
    }
    /** Compacts the rows of ragged fields. */
    const close = () => {
      if (!counts) return
      for (let i = 1; i < counts.length; i++) {
        const first = (i - 1) * each
        data.copyWithin(counts[i - 1]! * row, first, first + counts[i]! * row)
        counts[i]! += counts[i - 1]!
      }
    }
    return [name, { field, close }] as const
  })
  return {
    fields: Object.fromEntries(opened.map(([name, { field }]) => [name, field])) as OpenFields,
    close: () => {
      for (const [, { close }] of opened) close()
    },
  }
}

/** Views the fields of a closed buffer. */
export const readFields = (specs: FieldSpecs, batchSize: number, buffer: SharedArrayBuffer): Fields =>
  Object.fromEntries(
    placesOf(specs, batchSize).places.map(([name, place]): readonly [string, Field | null] => {
      const { spec } = place
      const present = place.present < 0 ? null : new Uint8Array(buffer, place.present, batchSize)
      if (present?.every((each) => each === 0)) return [name, null]
      const known = { present: present?.includes(0) ? present : null }
      const data = dataIn(buffer, place)
      if (place.rows < 0) return [name, { ...known, data, shape: [spec.count, batchSize, ...spec.shape] }]
      const offsets = new Int32Array(buffer, place.rows, spec.count * batchSize + 1)
      const rows = offsets.at(-1)!
      return [
        name,
        {
          ...known,
          data: data.subarray(0, rows * product(spec.shape)),
          shape: [rows, ...spec.shape],
          offsets,
        },
      ]
    }),
  )
