// What must travel to a machine that has neither Node.js nor a network, beside a copy of the repository: archives that are unpacked there in its folder.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join, relative, resolve } from 'node:path'
import { root } from './lease.mjs'

/** Packages that the stages load; what they depend on goes with them. */
const ofSherd = [
  ...[
    'commander',
    'd3-scale',
    'd3-shape',
    'dejavu-fonts-ttf',
    'fastest-levenshtein',
    'node-addon-api',
    'node-api-headers',
  ],
  ...['re2js', 'sharp', 'string-width', 'wrap-ansi', 'yaml', 'zod'],
]
const ofTests = ['vitest']
const notLoaded = /^(lightningcss|@types\/|fsevents)|-musl/
const notNeeded = [
  '*.map',
  '*.d.ts',
  '*.d.cts',
  '*.d.mts',
  '*.md',
  'DejaVu*Condensed*',
  'DejaVuSerif*',
  'DejaVuSansMono*',
  'DejaVuMath*',
]

const packages = join(root, 'node_modules')

/** The folders of packages and of what they depend on, as far as they are installed. */
function closure(names) {
  const found = new Set()
  const add = (name, from) => {
    // As Node.js looks: beside the dependent first, then above it.
    const places = [join(from, 'node_modules', name), join(packages, name)]
    const folder = places.find((each) => existsSync(join(each, 'package.json')))
    if (!folder || found.has(folder) || notLoaded.test(name)) return
    found.add(folder)
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    )
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) add(each, folder)
  }
  for (const name of names) add(name, root)
  return [...found].sort()
}

function must(program, args, options) {
  const done = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options })
  if (done.error || done.status !== 0)
    throw new Error(`${program} failed: ${done.error?.message ?? `status ${done.status}`}`)
}

/** An .xz archive of `paths`, below `from`. */
function archive(to, paths, from = root) {
  const names = paths.map((path) => relative(from, path))
  const excluded = notNeeded.map((pattern) => `--exclude=${pattern}`)
  must('tar', [
    'c',
    '-I',
    'xz -9 -T2',
    '-f',
    `${to}.partial`,
    ...excluded,
    '--exclude=dist/playground',
    '-C',
    from,
    ...names,
  ])
  must('mv', [`${to}.partial`, to])
}

/** Both addons for other machines, in native/prebuilt/, with the libjpeg that one of them is linked with. */
function addons(python) {
  const env = { ...process.env }
  if (python)
    Object.assign(env, { LIBTORCH_USE_PYTORCH: '1', PATH: dirname(resolve(python)) + delimiter + env.PATH })
  must(process.execPath, [join(root, 'dist/src/cli/bin.cjs'), 'setup', '--prebuilt'], { env })
  const plan = `
    const { planAddon } = await import(process.argv[1] + '/tensor/compile.js')
    const { requireLibTorch } = await import(process.argv[1] + '/tensor/libtorch.js')
    const { planPixels } = await import(process.argv[1] + '/native/pixels-addon.js')
    console.log(JSON.stringify([planAddon(requireLibTorch(), 'prebuilt'), planPixels('prebuilt')].map(({ path }) => path)))`
  const asked = spawnSync(process.execPath, ['--input-type=module', '-e', plan, join(root, 'dist/src')], {
    env,
    encoding: 'utf8',
  })
  if (asked.status !== 0) throw new Error(asked.stderr)
  const paths = JSON.parse(asked.stdout)
  const linked = spawnSync('ldd', [paths[1]], { encoding: 'utf8' }).stdout ?? ''
  const jpeg = linked.match(/(libjpeg\S*) => (\S+)/)
  if (!jpeg) return paths
  const beside = join(dirname(paths[1]), jpeg[1])
  if (realpathSync(jpeg[2]) !== beside) copyFileSync(realpathSync(jpeg[2]), beside)
  return [...paths, beside]
}

/** Node.js as bin/node, without its symbols. */
function nodeArchive(to) {
  const newest = statSync(process.execPath).mtimeMs
  if (existsSync(to) && statSync(to).mtimeMs > newest) return
  const folder = join(tmpdir(), `sherd-node-${process.pid}`)
  mkdirSync(join(folder, 'bin'), { recursive: true })
  copyFileSync(process.execPath, join(folder, 'bin/node'))
  spawnSync('strip', [join(folder, 'bin/node')]) // saves a tenth; without it the file is only larger
  archive(to, [join(folder, 'bin/node')], folder)
  rmSync(folder, { recursive: true })
}

const units = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

/** Returns an exit status. */
export function pack({ out, data, python, limit, tests }) {
  const [, number, unit] = limit.match(/^(\d+)([KMG]?)$/) ?? []
  if (!number || (data && !existsSync(data))) {
    console.error(number ? `gpu: there is no ${data}` : `gpu: --limit is a size such as 45M, not ${limit}`)
    return 2
  }
  const folder = resolve(out)
  mkdirSync(folder, { recursive: true })
  const at = (name) => join(folder, name)
  nodeArchive(at('node.tar.xz'))
  archive(at('sherd.tar.xz'), [join(root, 'dist'), ...addons(python), ...closure(ofSherd)])
  const forTests = closure(ofTests).filter((each) => !closure(ofSherd).includes(each))
  if (tests) archive(at('tests.tar.xz'), forTests)
  else rmSync(at('tests.tar.xz'), { force: true })
  if (data) copyFileSync(data, at(basename(data)))

  const sizes = readdirSync(folder).map((name) => [name, statSync(at(name)).size])
  for (const [name, size] of sizes) console.log(`${megabytes(size).padStart(9)}  ${name}`)
  const tracked =
    spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).stdout?.split('\0') ?? []
  const ofTree = tracked.reduce(
    (sum, name) => sum + (name && existsSync(join(root, name)) ? statSync(join(root, name)).size : 0),
    0,
  )
  const sum = sizes.reduce((all, [, size]) => all + size, ofTree)
  console.log(`${megabytes(ofTree).padStart(9)}  files that git knows\n${megabytes(sum).padStart(9)}  in all`)
  const here = relative(root, folder)
  const place = here.startsWith('..') ? 'FOLDER' : here
  console.log(
    `\nThere, in the copy of the repository:\n  for f in ${place}/*.tar.xz; do tar xf "$f"; done; bin/node scripts/gpu.mjs`,
  )
  if (sum <= Number(number) * (units[unit] ?? 1)) return 0
  console.error(
    `gpu: that is more than ${limit}: leave out ${tests ? 'the tests (--no-tests) or ' : ''}the images, and take them at another time`,
  )
  return 1
}
