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
  'cc-by-nc-4.0': { name: 'CC BY-NC 4.0', use: 'non-commercial' },
  'dinov3-license': { name: 'DINOv3 licence', use: 'terms' },
} as const satisfies Record<string, Licence>

export type LicenceId = keyof typeof licences

/** For tables and notes. */
export const useTexts: Readonly<Record<Use, string>> = {
  any: 'any use',
  'non-commercial': 'not for commercial use',
  terms: 'terms of its own: read them',
}
