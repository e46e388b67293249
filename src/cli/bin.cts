#!/usr/bin/env node
// The launcher. CommonJS, because the size of libuv's thread pool must be set before anything reads a file with it.
// Decoding uses that pool, so it gets a thread for every core.
const os: typeof import('node:os') = require('node:os')

process.env.UV_THREADPOOL_SIZE ??= String(Math.max(4, os.availableParallelism()))

import('./main.js').then(
  ({ main }) => main(process.argv),
  (error: unknown) => {
    process.stderr.write(`sherd could not start: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  },
)
