// `npm run test:wheel PYTHON [files of Vitest …]`: the tests on the LibTorch of that python3's PyTorch, in place of the system's. PYTHON is a
// program or the folder of a virtual environment.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [given, ...files] = process.argv.slice(2)
const isFolder = given !== undefined && existsSync(given) && statSync(given).isDirectory()
const bin = given === undefined ? '' : isFolder ? resolve(given, 'bin') : dirname(resolve(given))
if (!existsSync(join(bin, 'python3'))) {
  console.error(
    `test:wheel: name a python3 with PyTorch, or its virtual environment: npm run test:wheel /opt/venv${given === undefined ? '' : ` (no python3 in ${bin})`}`,
  )
  process.exit(2)
}
const { LIBTORCH: _, ...rest } = process.env
const env = { ...rest, LIBTORCH_USE_PYTORCH: '1', PATH: bin + delimiter + process.env.PATH }
const run = (...args) => spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status ?? 1
process.exitCode = run('scripts/setup.mjs') || run('node_modules/vitest/vitest.mjs', 'run', ...files)
