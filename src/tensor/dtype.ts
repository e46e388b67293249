/** Element types: their names, LibTorch's codes (c10::ScalarType) and the typed arrays that hold them. */
import { SherdError } from '../errors.ts'

export const dtypes = {
  uint8: { code: 0, bytes: 1, array: Uint8Array },
  int32: { code: 3, bytes: 4, array: Int32Array },
  int64: { code: 4, bytes: 8, array: BigInt64Array },
  float16: { code: 5, bytes: 2, array: Uint16Array },
  float32: { code: 6, bytes: 4, array: Float32Array },
  float64: { code: 7, bytes: 8, array: Float64Array },
  bool: { code: 11, bytes: 1, array: Uint8Array },
  bfloat16: { code: 15, bytes: 2, array: Uint16Array },
} as const

export type DType = keyof typeof dtypes

interface Arrays {
  uint8: Uint8Array
  int32: Int32Array
  int64: BigInt64Array
  float16: Uint16Array
  float32: Float32Array
  float64: Float64Array
  bool: Uint8Array
  bfloat16: Uint16Array
}
/** 16-bit floats are stored as their bits, booleans as 0 and 1. */
export type ArrayOf<D extends DType> = Arrays[D]

const names = new Map(Object.entries(dtypes).map(([name, { code }]) => [code as number, name as DType]))

/** `type N` for types that sherd does not use. */
export function dtypeName(code: number): DType {
  return names.get(code) ?? (`type ${code}` as DType)
}

/** Throws `VALUE` for an unknown name. */
export function dtypeCode(dtype: DType): number {
  if (!Object.hasOwn(dtypes, dtype))
    throw new SherdError('VALUE', `Unknown dtype "${dtype}"; known: ${Object.keys(dtypes).join(', ')}`)
  return dtypes[dtype].code
}
