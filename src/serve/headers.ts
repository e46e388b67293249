/** Headers that tell browsers what an answer may do: nothing, or, for pages, what they need. */
import { pagePolicy } from './page-policy.ts'

const policyOf = (policy: readonly string[]) => [...policy, "frame-ancestors 'none'"].join('; ')

/** Of every answer, whatever it is. */
export const plainHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': policyOf(["default-src 'none'"]),
  'x-frame-options': 'DENY', // for browsers that do not know frame-ancestors
  'referrer-policy': 'no-referrer',
} as const

/** Of the playground: its policy, and what threads of WebAssembly need. */
export const playgroundHeaders = {
  ...plainHeaders,
  'content-security-policy': policyOf(pagePolicy),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
} as const
