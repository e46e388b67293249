/** Configurations stored in run folders, files of weights and exported graphs. */
import { migrate } from './migrations.ts'
import { resolveConfig } from './resolve.ts'
import type { Config, ConfigInput } from './schema.ts'

/** Migrates and resolves. Throws `CONFIG` for an invalid configuration or one of a later version. */
export const storedConfig = (json: unknown): Config => resolveConfig(migrate(json) as ConfigInput)
