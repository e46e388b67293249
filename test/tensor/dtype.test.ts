import { describe, expect, it } from 'vitest'
import { type DType, dtypeCode, dtypeName, dtypes } from '../../src/tensor/dtype.ts'

describe('dtypes', () => {
  // c10/core/ScalarType.h; the codes are part of LibTorch's stable interface.
  it('have the codes of LibTorch', () => {
    const codes = { uint8: 0, int32: 3, int64: 4, float16: 5, float32: 6, float64: 7, bool: 11, bfloat16: 15 }
    expect(Object.fromEntries(Object.keys(dtypes).map((name) => [name, dtypeCode(name as DType)]))).toEqual(
      codes,
    )
    for (const [name, code] of Object.entries(codes)) expect(dtypeName(code)).toBe(name)
  })

  it('are as wide as the arrays that hold them', () => {
    for (const { bytes, array } of Object.values(dtypes)) expect(array.BYTES_PER_ELEMENT).toBe(bytes)
  })

  it('name a type that sherd does not use by its code', () => expect(dtypeName(9)).toBe('type 9'))

  it.each(['float', 'constructor', '__proto__', ''])('refuse the name "%s"', (name) =>
    expect(() => dtypeCode(name as DType)).toThrow(`Unknown dtype "${name}"; known: uint8, int32`),
  )
})
