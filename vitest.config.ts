import { defineConfig } from 'vitest/config'

// One worker: LibTorch already uses every core, and two of it would fight for them.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    setupFiles: ['test/setup.ts'],
    // Waiting threads sleep instead of spinning: test machines are shared, and the models are tiny.
    env: { GOMP_SPINCOUNT: '0' },
  },
})
