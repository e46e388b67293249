/** Configurations that were stored: in the folder of a run, in files of weights, in exported graphs. */
import { migrate } from './migrations.ts'
import { resolveConfig } from './resolve.ts'
import type { Config, ConfigInput } from './schema.ts'

/** What this or an earlier version has stored, checked and complete. Throws `CONFIG` for what is none, or is of a later version. */
export const storedConfig = (json: unknown): Config => resolveConfig(migrate(json) as ConfigInput)
