/** When a place is seen, and on which of its dates something is wrong: a cloud, or the edge of the swath. */
import { between, chance } from '../range.ts'
import { type Place, placeDraws } from './landscape.ts'

export interface Visit {
  /** Of all dates of the place, from 0. */
  readonly number: number
  /** Day of the year, from 1. */
  readonly day: number
  /** `YYYYMMDD`. */
  readonly date: string
  /** The share of the scene under clouds, about. */
  readonly clouds: number
  /** The share of the scene beyond the edge of the swath, about. */
  readonly missing: number
}

const YEAR = 2021
const FIRST_DAY = 30 // no snow before, no sun after
const REVISIT = 5 // days, as Sentinel-2 has it
const PASSES = 61
/** More dates than a year has passes make no sense. */
export const MOST_DATES = 60

export function dateOf(day: number): string {
  return new Date(Date.UTC(YEAR, 0, day)).toISOString().slice(0, 10).replaceAll('-', '')
}

/** `dates` visits, evenly spread over the year but for a draw within each part of it; other days for each place. */
export function drawVisits(place: Place, dates: number): Visit[] {
  const drawn = placeDraws(place, 1)
  const orbit = drawn.below(REVISIT)
  const cloudy = chance(drawn, 0.3) ? drawn.below(dates) : -1
  const cut = chance(drawn, 0.15) ? drawn.below(dates) : -1
  const clouds = between(drawn, 0.05, 0.3)
  const missing = between(drawn, 0.08, 0.4)
  return Array.from({ length: dates }, (_, number) => {
    const from = Math.floor((number * PASSES) / dates)
    const until = Math.floor(((number + 1) * PASSES) / dates)
    const day = FIRST_DAY + orbit + REVISIT * (from + drawn.below(until - from))
    return {
      number,
      day,
      date: dateOf(day),
      clouds: number === cloudy ? clouds : 0,
      missing: number === cut ? missing : 0,
    }
  })
}
