/** A preset file. Its header states the command, the cost, and the expected and measured result. */
import type { ConfigInput } from './schema.ts'

export interface Preset {
  /** One line for `sherd presets`. */
  readonly summary: string
  readonly config: ConfigInput
}
