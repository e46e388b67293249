/**
 * What a batch is made of: named arrays, of every sample and every copy of it. All of a batch lies in one buffer that the decoding thread
 * fills and the main thread reads; both lay it out by the same specs.
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
  /** Of one copy of a sample; of a ragged field, of one of its rows. */
  readonly shape: readonly number[]
  /** Ragged: how many rows the copies of one sample may have at most. */
  readonly mostRows?: number
  /** Whether samples may lack it. */
  readonly isOptional?: boolean
}

export type FieldSpecs = Readonly<Record<string, FieldSpec>>

export interface Field {
  readonly data: FieldArray
  /** [count, B, …], copy by copy; of a ragged field [rows, …]. */
  readonly shape: readonly number[]
  /** Ragged, [count · B + 1]: sample b of copy c has rows offsets[c · B + b] to offsets[c · B + b + 1]. */
  readonly offsets?: Int32Array
  /** [B] 0 where a sample lacks it; null when none does. */
  readonly present?: Uint8Array | null
}

/** By name; null where no sample of the batch has it. */
export type Fields = Readonly<Record<string, Field | null>>

/** A field while it is being filled. */
export interface OpenField {
  readonly spec: FieldSpec
  readonly data: FieldArray
  /** Where the values of a copy of a sample go; of a ragged field `put` takes them. */
  at(copy: number, sample: number): FieldArray
  /** Rows of a ragged field: at most `mostRows`. */
  put(copy: number, sample: number, values: ArrayLike<number>): void
  /** The sample lacks it. */
  leaveOut(sample: number): void
}

export type OpenFields = Readonly<Record<string, OpenField>>

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
const ALIGNMENT = 8

interface Place {
  readonly spec: FieldSpec
  /** Values of one copy of a sample. */
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

/** The bytes of a batch. */
export const bytesOfFields = (specs: FieldSpecs, batchSize: number): number =>
  placesOf(specs, batchSize).bytes

function dataIn(buffer: SharedArrayBuffer, { spec, data }: Place): FieldArray {
  const Make: new (buffer: SharedArrayBuffer, at: number, length: number) => FieldArray = arrays[spec.type]
  return new Make(buffer, data.at, data.length)
}

/** The fields of a buffer, to be filled by `read`, in any order and several samples at once, and then to be closed. */
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
    /** Rows of ragged fields follow each other without gaps. */
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

/** The fields of a buffer that is full. */
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
