/** What a model may be used for, as its card says, before it is downloaded. */
import type { HubModel } from './client.ts'
import { hubListener } from './listener.ts'
import type { HubName } from './name.ts'
import type { HubSettings } from './settings.ts'

const forbidsTrade = /(?:^|[^a-z])(?:nc|non-?commercial|research)(?:[^a-z]|$)/i

/** Licence and gating; as a warning where use is restricted. */
export function sayTerms(
  { repo }: HubName,
  { licence, link, gated }: HubModel,
  { endpoint }: HubSettings,
): void {
  const page = `${endpoint}/${repo}`
  const { note, warn } = hubListener()
  if (licence === null) note(`hf:${repo}: its card names no licence (${page})`)
  else if (forbidsTrade.test(licence))
    warn(`hf:${repo}: licence ${licence}, which forbids commercial use (${link ?? page})`)
  else if (gated || /^other\b/.test(licence))
    warn(`hf:${repo}: licence ${licence}: read it before use (${link ?? page})`)
  else note(`hf:${repo}: licence ${licence}`)
  if (gated) note(`hf:${repo} is gated: only accounts that have accepted its terms may download it (${page})`)
}
