/** What a preset file exports. Its header states the command, the cost, and the expected and the measured result. */
import type { ConfigInput } from './schema.ts'

export interface Preset {
  /** One line for `sherd presets`. */
  readonly summary: string
  readonly config: ConfigInput
}
