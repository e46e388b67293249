// The first step of every npm script, in plain JavaScript because nothing is compiled yet: packages, the TypeScript build,
// then `sherd setup` for LibTorch and the addon. Each part is skipped when its inputs are what they were.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

function fail(message) {
  console.error(`sherd: ${message}`)
  process.exit(1)
}

function run(command, args, what) {
  const npm = process.env.npm_execpath // the npm that started us, wherever it is
  const [program, ...rest] = command === 'npm' && npm ? [process.execPath, npm, ...args] : [command, ...args]
  const { status, error } = spawnSync(program, rest, { cwd: root, stdio: ['inherit', 2, 2] })
  if (error) fail(`${what} could not start: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}

const hash = (paths) => {
  const sum = createHash('sha256').update(process.version)
  for (const path of paths) sum.update(path).update(readFileSync(join(root, path)))
  return sum.digest('hex')
}
const files = (dir) =>
  readdirSync(join(root, dir), { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? files(join(dir, entry.name)) : [join(dir, entry.name)]))
    .filter((path) => /\.c?ts$/.test(path))
    .sort()

/** Runs `work` unless the stamp file says that it was done for the same inputs. */
function once(stamp, inputs, message, work) {
  const path = join(root, stamp)
  const key = hash(inputs)
  if (existsSync(path) && readFileSync(path, 'utf8') === key) return
  console.error(`sherd: ${message} …`)
  work()
  writeFileSync(path, key)
}

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  fail(
    `Node.js 20.19 or newer is needed, this is ${process.versions.node}. See https://nodejs.org/en/download`,
  )
}

once('node_modules/.sherd-setup', ['package-lock.json'], 'installing npm packages', () =>
  // The only script among the packages, onnxruntime-node's, would fetch what only a GPU needs.
  run('npm', ['ci', '--ignore-scripts'], 'npm ci'),
)

const sources = ['src', 'presets', 'bench', 'scripts'].flatMap(files)
// A compiler that found an error has still written everything, so the build is remembered only when it is clean.
once('dist/.sherd-setup', [...sources, 'tsconfig.json', 'tsconfig.build.json'], 'compiling TypeScript', () =>
  run(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
    'the TypeScript compiler',
  ),
)

const inPlayground = readdirSync(join(root, 'playground'), {
  recursive: true,
  encoding: 'utf8',
  withFileTypes: true,
})
  .filter((entry) => entry.isFile())
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .sort()
// It bundles pure files of src/, too, and the runtime that the lock file names.
once(
  'dist/playground/.sherd-setup',
  [...inPlayground, ...files('src'), 'package-lock.json'],
  'building the playground',
  () =>
    run(
      process.execPath,
      [
        'node_modules/vite/bin/vite.js',
        'build',
        '--config',
        'playground/vite.config.ts',
        '--logLevel',
        'warn',
      ],
      'Vite',
    ),
)

// npm links the commands of dependencies, not of the package itself: this makes `npx sherd` work in a clone.
const launcher = join(root, 'dist/src/cli/bin.cjs')
const link = join(root, 'node_modules/.bin/sherd')
if (!existsSync(link)) {
  rmSync(link, { force: true })
  symlinkSync(launcher, link)
}
chmodSync(launcher, 0o755)

run(process.execPath, [launcher, 'setup', '--quiet'], 'sherd setup')
