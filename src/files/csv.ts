/** Tables as CSV (RFC 4180), for spreadsheets and pandas. */

export type CsvValue = string | number | null

/**
 * Quotes separators. Text that a spreadsheet would evaluate as a formula gets a leading apostrophe, since quotes do not prevent that;
 * numbers are unchanged.
 */
function field(value: CsvValue): string {
  const text = value === null ? '' : String(value)
  const isFormula = /^\s*[=+\-@]/.test(text) && !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)
  const safe = isFormula && typeof value === 'string' ? `'${text}` : text
  return isFormula || /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** The first row has the names. */
export const csv = (rows: readonly (readonly CsvValue[])[]): string =>
  rows.map((row) => `${row.map(field).join(',')}\r\n`).join('')
