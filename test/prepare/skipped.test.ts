import { describe, expect, it } from 'vitest'
import { type SkippedFile, skipLedger } from '../../src/prepare/skipped.ts'

const bad = (i: number): SkippedFile => ({ file: `${i}.jpg`, reason: `reason ${i}` })

describe('skipLedger', () => {
  it('tells each file once', () => {
    const told: SkippedFile[] = []
    const ledger = skipLedger({ files: 1000, maxShare: 0.01 }, (skipped) => told.push(skipped))
    for (const i of [1, 2, 1, 1, 2]) ledger.add(bad(i))
    expect(told).toEqual([bad(1), bad(2)])
  })

  it('takes exactly the share that is allowed', () => {
    const ledger = skipLedger({ files: 200, maxShare: 0.01 }, () => {})
    ledger.add(bad(1))
    ledger.add(bad(2))
    expect(() => ledger.add(bad(3))).toThrow(
      '3 of 200 images (1.5 %) cannot be used; at most 1 % may be skipped. Mend or remove them, or raise the limit.' +
        '\n  1.jpg: reason 1\n  2.jpg: reason 2\n  3.jpg: reason 3',
    )
  })

  it('stops when no file is left, whatever is allowed', () => {
    const ledger = skipLedger({ files: 7, maxShare: 1 }, () => {})
    for (let i = 0; i < 6; i++) ledger.add(bad(i))
    ledger.add(bad(2))
    expect(() => ledger.add(bad(6))).toThrow(
      /^7 of 7 images \(100 %\)[\s\S]*4\.jpg: reason 4\n {2}… and 2 more$/,
    )
    // Whoever looks for a substitute must not look for ever.
    expect(() => ledger.add(bad(2))).toThrow(/^7 of 7/)
  })
})
