/** What licences of published weights allow, by the identifiers of the hub, and which the authors of well-known encoders give, whatever a page of the hub says. */

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

export interface AuthorsLicence {
  readonly licence: LicenceId
  /** Of the page on the hub, where it says another one. */
  readonly page?: LicenceId
}

/** Of authors, by the repositories of their weights: with their code, and with each of their files. */
const authors: readonly (AuthorsLicence & { readonly repos: RegExp })[] = [
  {
    repos: /^facebook\/(?:dinov2-|dino-vit)|^microsoft\/beit-|^google\/siglip2?-/,
    licence: 'apache-2.0',
  },
  { repos: /^timm\/(?:\w+_dinov2\.|\w+\.dino$|beit|vit_\w+\.augreg_)/, licence: 'apache-2.0' },
  { repos: /^openai\/clip-vit-|^laion\/CLIP-ViT-/, licence: 'mit' },
  { repos: /^facebook\/dinov3-vit|^timm\/\w+_dinov3\w*\./, licence: 'dinov3-license' },
  { repos: /^facebook\/vit-(?:mae|msn)-/, licence: 'cc-by-nc-4.0', page: 'apache-2.0' },
  { repos: /^facebook\/ijepa_|^timm\/\w+\.(?:mae|in\d+k_ijepa)$/, licence: 'cc-by-nc-4.0' },
]

/** Of a repository, `owner/name`; undefined where it is none that is known. */
export function authorsLicence(repo: string): AuthorsLicence | undefined {
  const found = authors.find(({ repos }) => repos.test(repo))
  return found && { licence: found.licence, ...(found.page && { page: found.page }) }
}

const repoOf = (model: string): string => /^hf:(?:\/\/)?([^/]+\/[^/@]+)/i.exec(model)?.[1] ?? ''

/** Of `hf:owner/name@…`, for people: undefined where any use is allowed, or nothing is known. */
export function restriction(model: string): string | undefined {
  const found = authorsLicence(repoOf(model))
  if (!found || licences[found.licence].use === 'any') return undefined
  const { name, use } = licences[found.licence]
  const page = found.page ? `; its page on the hub says ${licences[found.page].name}` : ''
  return `the licence of the authors of ${repoOf(model)} is ${name} (${useTexts[use]})${page}`
}

/** Of `hf:owner/name@…`, as a model card has it; undefined where it is not known. */
export function cardLicence(model: string): Readonly<Record<string, string>> | undefined {
  const found = authorsLicence(repoOf(model))
  if (!found) return undefined
  const isOfHub = licences[found.licence].use !== 'terms'
  return isOfHub ? { license: found.licence } : { license: 'other', license_name: found.licence }
}

const forbidsTrade = /(?:^|[^a-z])(?:nc|non-?commercial|research)(?:[^a-z]|$)/i

/** What a licence allows by its name on a page, which may be any text. */
export const useOf = (tag: string): Use =>
  Object.hasOwn(licences, tag)
    ? licences[tag as LicenceId].use
    : forbidsTrade.test(tag)
      ? 'non-commercial'
      : /^other\b/.test(tag)
        ? 'terms'
        : 'any'
