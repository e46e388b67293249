/** Tables as CSV (RFC 4180), for spreadsheets and pandas. */

export type CsvValue = string | number | null

/**
 * What could be taken for the end of a field is quoted. Text that a spreadsheet would take for a formula gets an apostrophe in front, since
 * it computes what is quoted, too; numbers, also negative ones as text, are what they are.
 */
function field(value: CsvValue): string {
  const text = value === null ? '' : String(value)
  const isFormula = /^\s*[=+\-@]/.test(text) && !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)
  const safe = isFormula && typeof value === 'string' ? `'${text}` : text
  return isFormula || /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** The first row is that of the names. */
export const csv = (rows: readonly (readonly CsvValue[])[]): string =>
  rows.map((row) => `${row.map(field).join(',')}\r\n`).join('')
