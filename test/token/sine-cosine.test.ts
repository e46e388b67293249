import { afterEach, describe, expect, it } from 'vitest'
import {
  sineCosine,
  type TimeField,
  timeEncoding,
  timeFieldNames,
  timeFields,
} from '../../src/token/sine-cosine.ts'
import { expectClose } from '../tolerance.ts'

const { sin, cos } = Math

describe('sineCosine', () => {
  it('by hand: all sines, then all cosines, of n · 10000^(−k / (width/2))', () => {
    expectClose(sineCosine(3, 2), [sin(3), cos(3)], 1e-7)
    expectClose(sineCosine(3, 4), [sin(3), sin(0.03), cos(3), cos(0.03)], 1e-7)
    expectClose(sineCosine(-7, 4), [sin(-7), sin(-0.07), cos(-7), cos(-0.07)], 1e-7)
    expectClose(
      sineCosine(300, 8),
      [300, 30, 3, 0.3].flatMap((n) => sin(n)).concat([300, 30, 3, 0.3].map((n) => cos(n))),
      1e-6,
    )
    expectClose(sineCosine(0, 6), [0, 0, 0, 1, 1, 1], 0)
  })

  it.each([0, 1, 3, 7, -2, Number.NaN])('refuses a width of %d', (width) => {
    expect(() => sineCosine(1, width)).toThrow(`The encoding of a number needs an even width, got ${width}`)
  })
})

describe('timeFields', () => {
  const zone = process.env.TZ
  afterEach(() => {
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  })

  it.each([
    ['2020-02-29T13:00:00Z', [18, 1, 59, 13]], // the 60th day of a leap year
    ['2002-01-01T00:00:00Z', [0, 0, 0, 0]],
    ['2021-12-31T23:59:59.999Z', [19, 11, 364, 23]],
    ['2024-12-31T00:30:00Z', [22, 11, 365, 0]],
    ['2024-03-01T06:00:00Z', [22, 2, 60, 6]],
    ['2023-03-01T06:00:00Z', [21, 2, 59, 6]],
    ['1969-12-31T23:59:59.999Z', [-33, 11, 364, 23]], // before the count of seconds
  ])('%s is year, month, day of the year, hour %j, in any time zone', (text, expected) => {
    for (const place of ['UTC', 'Pacific/Kiritimati', 'America/Los_Angeles']) {
      process.env.TZ = place
      const date = new Date(text)
      expect(timeFieldNames.map((name) => timeFields[name](date))).toEqual(expected)
    }
  })

  it('are called by names that configurations use', () => {
    expect(timeFieldNames).toEqual(['year', 'month', 'dayOfYear', 'hour'])
  })
})

describe('timeEncoding', () => {
  const time = Date.UTC(2020, 1, 29, 13)

  it('puts the fields one behind the other in the order that is asked for', () => {
    const ofHour = [sin(13), sin(0.13), cos(13), cos(0.13)]
    const ofYear = [sin(18), sin(0.18), cos(18), cos(0.18)]
    expectClose(timeEncoding(time, ['hour', 'year'], 4), [...ofHour, ...ofYear], 1e-7)
    expectClose(timeEncoding(time, ['dayOfYear', 'month'], 2), [sin(59), cos(59), sin(1), cos(1)], 1e-7)
  })

  it.each<[string, number, TimeField[], number]>([
    ['zeros for a time that is not known', Number.NaN, ['year', 'hour'], 8],
    ['nothing for no fields', time, [], 0],
  ])('gives %s', (_, milliseconds, fields, length) => {
    expect([...timeEncoding(milliseconds, fields, 4)]).toEqual(Array(length).fill(0))
  })
})
