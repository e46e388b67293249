/** Presets by name. */
import { presets } from '../../presets/index.ts'
import { didYouMean, SherdError } from '../errors.ts'
import type { Preset } from './preset.ts'

export const presetNames = Object.keys(presets)

/** The preset of that name. Throws `PRESET_UNKNOWN` with a suggestion. */
export function presetOf(name: string): Preset {
  const found = Object.hasOwn(presets, name) ? presets[name] : undefined
  if (!found) {
    throw new SherdError(
      'PRESET_UNKNOWN',
      `There is no preset "${name}".${didYouMean(name, presetNames)} "sherd presets" lists all: ${presetNames.join(', ')}.`,
    )
  }
  return found
}
