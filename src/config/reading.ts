/** How far a command goes with files that are hard to read, whatever its model was trained with. */
import { resolveConfig } from './resolve.ts'
import type { Config } from './schema.ts'

/** Of the keys `data.*`; what is left out stays as the configuration has it. */
export type ReadingLimits = {
  readonly [Key in 'maxSkippedShare' | 'maxPixels' | 'corrupt' | 'fileTimeout']?:
    | Config['data'][Key]
    | undefined
}

/** A model that was opened to be used on files. */
export interface Reads {
  /** What it was made with: files that are written of it say this one. */
  readonly config: Config
  readonly reading?: ReadingLimits | undefined
}

/** The configuration that its files are read by. Throws `CONFIG` for limits that are not valid. */
export function readingConfig({ config, reading = {} }: Reads): Config {
  const given = Object.fromEntries(Object.entries(reading).filter(([, value]) => value !== undefined))
  return Object.keys(given).length === 0
    ? config
    : resolveConfig({ ...config, data: { ...config.data, ...given } })
}
