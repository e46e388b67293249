import { defineConfig } from 'vitest/config'
import { everywhere } from './vitest.config.ts'

// What takes too long for every change: `npm run test:soak`.
export default defineConfig({
  test: {
    ...{ ...everywhere, include: ['test/soak/**/*.soak.ts'], maxWorkers: 1 },
    ...{ testTimeout: 3_600_000, hookTimeout: 600_000 },
  },
})
