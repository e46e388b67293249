/** What a model may be used for, before it is downloaded: as its authors say where they are known, else as its card says. */
import type { HubModel } from './client.ts'
import { authorsLicence, licences, useOf } from './licences.ts'
import { hubListener } from './listener.ts'
import type { HubName } from './name.ts'
import type { HubSettings } from './settings.ts'

/** Licence and gating; as a warning where use is restricted. */
export function sayTerms(
  { repo }: HubName,
  { licence: said, link, gated }: HubModel,
  { endpoint }: HubSettings,
): void {
  const page = `${endpoint}/${repo}`
  const { note, warn } = hubListener()
  const own = authorsLicence(repo)
  const isOther = own !== undefined && said !== null && licences[own.licence].use !== useOf(said)
  const licence = isOther || said === null ? (own?.licence ?? null) : said
  const [of, though] = isOther
    ? ['its authors give the licence', `, though its page says ${said}`]
    : ['licence', '']
  if (licence === null) note(`hf:${repo}: its card names no licence (${page})`)
  else if (useOf(licence) === 'non-commercial')
    warn(`hf:${repo}: ${of} ${licence}, which forbids commercial use${though} (${link ?? page})`)
  else if (gated || useOf(licence) === 'terms')
    warn(`hf:${repo}: ${of} ${licence}: read it before use${though} (${link ?? page})`)
  else note(`hf:${repo}: ${of} ${licence}${though}`)
  if (gated) note(`hf:${repo} is gated: only accounts that have accepted its terms may download it (${page})`)
}
