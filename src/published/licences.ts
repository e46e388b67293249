/** What the licences of published weights allow, by the identifiers of the hub. */

export type Use = 'any' | 'non-commercial' | 'terms'

export interface Licence {
  readonly name: string
  /** `any`: commercial, too. `terms`: what else must be kept is in the licence. */
  readonly use: Use
}

export const licences = {
  'apache-2.0': { name: 'Apache 2.0', use: 'any' },
  mit: { name: 'MIT', use: 'any' },
  'bsd-3-clause': { name: 'BSD, 3 clauses', use: 'any' },
  'cc-by-4.0': { name: 'CC BY 4.0', use: 'any' },
  'cc-by-nc-4.0': { name: 'CC BY-NC 4.0', use: 'non-commercial' },
  'cc-by-nc-sa-4.0': { name: 'CC BY-NC-SA 4.0', use: 'non-commercial' },
  'apple-ascl': { name: "Apple's sample code licence", use: 'terms' },
  'apple-amlr': { name: "Apple's licence for research models", use: 'non-commercial' },
  'dinov3-license': { name: 'DINOv3 licence', use: 'terms' },
  'fair-noncommercial-research-license': { name: 'FAIR licence for research', use: 'non-commercial' },
} as const satisfies Record<string, Licence>

export type LicenceId = keyof typeof licences

/** Null for a licence that is not known here. */
export const licenceOf = (id: string): Licence | null =>
  Object.hasOwn(licences, id) ? licences[id as LicenceId] : null

/** For tables and notes. */
export const useTexts: Readonly<Record<Use, string>> = {
  any: 'any use',
  'non-commercial': 'not for commercial use',
  terms: 'terms of its own: read them',
}
