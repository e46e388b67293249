/** Limits of reading files that a command overrides in a model's configuration. */
import { resolveConfig } from './resolve.ts'
import type { Config } from './schema.ts'

/** Keys of `data`; omitted ones keep the configuration's values. */
export type ReadingLimits = {
  readonly [Key in 'maxSkippedShare' | 'maxPixels' | 'corrupt' | 'fileTimeout']?:
    | Config['data'][Key]
    | undefined
}

/** A model that is applied to files. */
export interface Reads {
  /** The original configuration, which is written to files. */
  readonly config: Config
  readonly reading?: ReadingLimits | undefined
}

/** The configuration for reading. Throws `CONFIG` for invalid limits. */
export function readingConfig({ config, reading = {} }: Reads): Config {
  const given = Object.fromEntries(Object.entries(reading).filter(([, value]) => value !== undefined))
  return Object.keys(given).length === 0
    ? config
    : resolveConfig({ ...config, data: { ...config.data, ...given } })
}
