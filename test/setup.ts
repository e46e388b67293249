// Runs before every test file, also where files share a process: warnings are errors, so that nothing is silently deprecated; ONNX Runtime keeps to itself what it runs.
// Files of the library share a process, which needs to hear warnings once.
import { afterAll } from 'vitest'
import { doAfterFile } from './after-file.ts'

const heard = Symbol.for('sherd: warnings are errors')
const once = globalThis as { [heard]?: true }
if (!once[heard]) {
  once[heard] = true
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') throw warning
  })
}
process.env.ORT_DISABLE_TELEMETRY = '1'
afterAll(doAfterFile)
