/** Security headers: answers may load nothing, pages only what they need. */
import { pagePolicy } from './page-policy.ts'
import { startPagePolicy } from './start-page.ts'

const policyOf = (policy: readonly string[]) => [...policy, "frame-ancestors 'none'"].join('; ')

/** Of every answer. */
export const plainHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': policyOf(["default-src 'none'"]),
  'x-frame-options': 'DENY', // for browsers that do not know frame-ancestors
  'referrer-policy': 'same-origin', // with no-referrer, forms of our own pages would send the origin "null"
} as const

/** Of the playground: its policy, and the isolation that threads of WebAssembly need. */
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

/** Of swagger-ui: its own scripts, inline styles, and images in its style sheet. */
export const docsPolicy = policyOf([
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "form-action 'none'",
  "base-uri 'none'",
])
