import { defineConfig, mergeConfig } from 'vitest/config'
import usual from './vitest.config.ts'

// What takes too long for every change: `npm run test:soak`.
export default mergeConfig(
  { ...usual, test: { ...usual.test, include: [] } },
  defineConfig({
    test: { include: ['test/soak/**/*.soak.ts'], testTimeout: 3_600_000, hookTimeout: 600_000 },
  }),
)
