/** The table of targets (`target.kind`); the first is the default. */
import type { BackboneShape } from '../model/backbone-shape.ts'
import { codesRow } from './codes.ts'
import { featuresRow } from './features.ts'
import { hogRow } from './hog.ts'
import { pixelTargetRow } from './pixel-target.ts'
import type { GivenModels, Locate, TargetGiven, TargetRow } from './target-row.ts'
import { teacherRow } from './teacher.ts'

export const targets = {
  pixels: pixelTargetRow,
  hog: hogRow,
  codes: codesRow,
  features: featuresRow,
  teacher: teacherRow,
}

export type TargetName = keyof typeof targets

/** Keys of each, besides `target.kind`. */
export const targetKeys = Object.fromEntries(
  Object.entries(targets).map(([kind, { keys }]) => [kind, keys]),
) as { readonly [T in TargetName]: (typeof targets)[T]['keys'] }

/** Binds a row to the keys of a configuration. */
export function targetOf(keys: { readonly kind: TargetName }) {
  const row = targets[keys.kind] as TargetRow<never>
  return {
    open: (given: TargetGiven) => row.open(keys as never, given),
    complete: async (locate: Locate): Promise<object> => row.complete?.(keys as never, locate) ?? keys,
    models: (kind: keyof GivenModels): readonly string[] => row.models?.(keys as never)[kind] ?? [],
    check: (shape: BackboneShape) => row.check?.(keys as never, shape),
    width: row.width?.(keys as never) ?? null,
    wholeSamples: row.wholeSamples(keys as never),
    inWords: row.inWords(keys as never),
  }
}
