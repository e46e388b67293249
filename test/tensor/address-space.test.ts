import { expect, it } from 'vitest'
import { addressLimit, expectAddressSpace } from '../../src/tensor/address-space.ts'

const limits = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax file locks            7          unlimited            locks     \nMax address space         ${soft}           unlimited            bytes     \n`

it('too little address space is reported before LibTorch is loaded', () => {
  expect(addressLimit(limits('2048000000'))).toBe(2048000000)
  expect(addressLimit(limits('unlimited'))).toBe(Number.POSITIVE_INFINITY)
  expect(addressLimit('')).toBe(Number.POSITIVE_INFINITY) // no such file
  expect(() => expectAddressSpace(limits('2048000000'))).toThrow(
    expect.objectContaining({
      code: 'ENGINE_MISSING',
      message: expect.stringMatching(
        /may use 2\.0 GB of address space \(ulimit -v\), and LibTorch needs at least 3 GB/,
      ) as string,
    }),
  )
  expect(() => expectAddressSpace(limits('3000000000'))).not.toThrow()
  expect(() => expectAddressSpace(limits('unlimited'))).not.toThrow()
})
