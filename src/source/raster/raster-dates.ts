/** Dates in the names of files, in UTC. */

const LEAST_YEAR = 1970
const MOST_YEAR = 2100

export const dateForms =
  '20210614, 20210614T101031, 2021-06-14, 2021-06-14T10:10:31Z, 2021_06_14, 2021165, 2021_165 (day of the year)'

interface Parts {
  readonly year: string
  readonly month: string
  readonly day: string
  readonly hour?: string
  readonly minute?: string
  readonly second?: string
  readonly fraction?: string
  readonly zone?: string
}

const TIME = String.raw`(?:[T_ ]?(?<hour>\d\d)[:\-]?(?<minute>\d\d)(?:[:\-]?(?<second>\d\d)(?<fraction>[.,]\d{1,9})?)?)`
const WHOLE = new RegExp(
  String.raw`^(?<year>\d{4})(?<separator>[-_./]?)(?<month>\d\d)\k<separator>(?<day>\d\d)${TIME}?(?<zone>Z|[+\-]\d\d:?\d\d)?$`,
)
const DAY_OF_YEAR = /^A?(\d{4})[-_]?(\d{3})$/
/** Only unambiguous forms, since other numbers in names look like dates. */
const IN_NAME =
  /(?<!\d)(?:\d{8}T\d{6}|\d{4}-\d\d-\d\d(?:T\d\d[:-]?\d\d[:-]?\d\d)?|\d{4}_\d\d_\d\d|\d{8})Z?(?!\d)/g

/** Milliseconds since 1970, or null. */
export function parseDate(text: string): number | null {
  const day = DAY_OF_YEAR.exec(text)
  if (day) {
    const [year, number] = [Number(day[1]), Number(day[2])]
    const time = Date.UTC(year, 0, number)
    return isYear(year) && number >= 1 && new Date(time).getUTCFullYear() === year ? time : null
  }
  const found = WHOLE.exec(text)?.groups as unknown as Parts | undefined
  if (!found) return null
  const [year, month, date] = [found.year, found.month, found.day].map(Number) as [number, number, number]
  const [hour, minute, second] = [found.hour, found.minute, found.second].map((each) =>
    Number(each ?? 0),
  ) as [number, number, number]
  const midnight = new Date(Date.UTC(year, month - 1, date))
  const isDate = isYear(year) && midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === date
  if (!isDate || hour > 23 || minute > 59 || second > 60) return null
  const milliseconds = Math.round(1000 * Number((found.fraction ?? '.0').replace(',', '.')))
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds - zoneOf(found.zone)
}

const isYear = (year: number) => year >= LEAST_YEAR && year <= MOST_YEAR

function zoneOf(zone: string | undefined): number {
  const found = /^([+-])(\d\d):?(\d\d)$/.exec(zone ?? '')
  return found ? Number(`${found[1]}1`) * (Number(found[2]) * 60 + Number(found[3])) * 60_000 : 0
}

export interface DateInName {
  readonly time: number
  readonly from: number
  readonly to: number
}

/** All dates in a text, in order. */
export function datesIn(text: string): DateInName[] {
  return [...text.matchAll(IN_NAME)].flatMap(({ 0: found, index }) => {
    const time = parseDate(found)
    return time === null ? [] : [{ time, from: index, to: index + found.length }]
  })
}
