/** Headers that tell browsers what an answer may do: nothing, or, for pages, what they need. */
import { pagePolicy } from './page-policy.ts'
import { startPagePolicy } from './start-page.ts'

const policyOf = (policy: readonly string[]) => [...policy, "frame-ancestors 'none'"].join('; ')

/** Of every answer, whatever it is. */
export const plainHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': policyOf(["default-src 'none'"]),
  'x-frame-options': 'DENY', // for browsers that do not know frame-ancestors
  'referrer-policy': 'same-origin', // with none, forms of our own pages would come from nowhere
} as const

/** Of the playground: its policy, and what threads of WebAssembly need. */
export const playgroundHeaders = {
  ...plainHeaders,
  'content-security-policy': policyOf(pagePolicy),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
} as const

export const startPageHeaders = {
  ...plainHeaders,
  'content-security-policy': policyOf(startPagePolicy),
} as const

/** Of the pages of swagger-ui: its own scripts, styles that these set, pictures in its style sheet. */
export const docsPolicy = policyOf([
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "form-action 'none'",
  "base-uri 'none'",
])
