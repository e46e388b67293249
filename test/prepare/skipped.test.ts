import { describe, expect, it } from 'vitest'
import { mostSkipped, type SkippedFile, skipLedger } from '../../src/prepare/skipped.ts'

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
      '3 of 200 images (1.5 %) cannot be used. At most 2 may be skipped (data.maxSkippedShare 0.01). ' +
        'Repair or remove them, or allow more: --max-skipped-share.' +
        '\n  1.jpg: reason 1\n  2.jpg: reason 2\n  3.jpg: reason 3',
    )
  })

  it.each([
    [4, 0.01, 1], // one broken file among few stops nothing
    [199, 0.01, 1],
    [200, 0.01, 2],
    [100, 0.29, 29], // 0.29 · 100 is 28.999999999999996
    [1000, 0, 0], // nobody is told that nothing may be skipped and has something skipped
    [3, 1, 3],
  ])('of %i files a share of %d is %i', (files, maxShare, most) => {
    expect(mostSkipped({ files, maxShare })).toBe(most)
  })

  it('lists every reason once, with some of its files', () => {
    const ledger = skipLedger({ files: 9, maxShare: 0.6 }, () => {})
    for (const i of [1, 2, 3, 4]) ledger.add({ file: `${i}.png`, reason: 'the file is empty' })
    ledger.add(bad(7))
    expect(() => ledger.add({ file: '5.png', reason: 'the file is empty' })).toThrow(
      /\n {2}1\.png, 2\.png, 3\.png and 2 more: the file is empty\n {2}7\.jpg: reason 7$/,
    )
  })

  it('does not count windows without data', () => {
    const ledger = skipLedger({ files: 50, maxShare: 0.02 }, () => {})
    for (let i = 0; i < 40; i++) ledger.add({ file: `${i}.tif`, reason: 'no data: 0 % of the pixels' })
    ledger.add(bad(1))
    expect(() => ledger.add(bad(2))).toThrow(/^42 of 50 images/)
  })

  it('stops when no file is left, whatever is allowed', () => {
    const ledger = skipLedger({ files: 7, maxShare: 1 }, () => {})
    for (let i = 0; i < 6; i++) ledger.add(bad(i))
    ledger.add(bad(2))
    expect(() => ledger.add(bad(6))).toThrow(
      /^7 of 7 images \(100 %\)[\s\S]*No other is left\.[\s\S]*4\.jpg: reason 4\n {2}5\.jpg: reason 5\n {2}6\.jpg: reason 6$/,
    )
    // Whoever looks for a substitute must not look for ever.
    expect(() => ledger.add(bad(2))).toThrow(/^7 of 7/)
  })
})
