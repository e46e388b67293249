/** The dates of a place, some with clouds or the edge of the swath. */
import { between, chance } from '../range.ts'
import { type Place, placeDraws } from './landscape.ts'

export interface Visit {
  /** From 0. */
  readonly number: number
  /** Day of the year, from 1. */
  readonly day: number
  /** `YYYYMMDD`. */
  readonly date: string
  /** Approximate share of the scene under clouds. */
  readonly clouds: number
  /** Approximate share of the scene beyond the edge of the swath. */
  readonly missing: number
}

const YEAR = 2021
const FIRST_DAY = 30 // snow and low sun are avoided
const REVISIT = 5 // days, as for Sentinel-2
const PASSES = 61
/** Passes in a year. */
export const MOST_DATES = 60

export function dateOf(day: number): string {
  return new Date(Date.UTC(YEAR, 0, day)).toISOString().slice(0, 10).replaceAll('-', '')
}

/** `dates` visits, one at a random day in each equal part of the year; different days for each place. */
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
