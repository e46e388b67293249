/** Tables as CSV (RFC 4180), for spreadsheets and pandas. */

export type CsvValue = string | number | null

/** What could be taken for the end of a field is quoted. */
function field(value: CsvValue): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The first row is that of the names. */
export const csv = (rows: readonly (readonly CsvValue[])[]): string =>
  rows.map((row) => `${row.map(field).join(',')}\r\n`).join('')
