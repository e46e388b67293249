/** Installs what training needs: on Debian the missing packages, then the addon. Elsewhere it prints what to install by hand. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { SherdError } from '../errors.ts'
import { compileAddon, isCompiled } from '../native/compile.ts'
import { hasJpegHeader, jpegPackage, planPixels } from '../native/pixels-addon.ts'
import { planAddon } from '../tensor/compile.ts'
import { debianPackages, installByHand } from '../tensor/install-hints.ts'
import { type Discovery, findLibTorch, requireLibTorch } from '../tensor/libtorch.ts'

const succeeds = (command: string, ...args: string[]) =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0

const isInstalled = (debianPackage: string) => {
  const asked = spawnSync('dpkg-query', ['--status', debianPackage], { encoding: 'utf8' })
  return asked.status === 0 && asked.stdout.includes('Status: install ok installed')
}

/** Missing Debian packages; none if the user provides a LibTorch. */
export function missingPackages({ libtorch }: Discovery): string[] {
  const own = Boolean(process.env.LIBTORCH) || process.env.LIBTORCH_USE_PYTORCH === '1'
  const isPrebuilt = libtorch !== null && planAddon(libtorch).isPrebuilt
  const needed = debianPackages.filter((name) => {
    if (name === 'g++') return !isPrebuilt && !succeeds(process.env.CXX ?? 'g++', '--version')
    return !own && (libtorch === null || libtorch.libDir.startsWith('/usr/lib')) && !isInstalled(name)
  })
  return [...needed]
}

function installPackages(missing: readonly string[], say: (line: string) => void): void {
  const byHand = (why: string) => {
    throw new SherdError(
      'ENGINE_MISSING',
      `${missing.join(', ')} must be installed, but ${why}.\n${installByHand}`,
    )
  }
  if (!existsSync('/usr/bin/apt-get')) byHand('this system has no apt-get')
  const root = process.getuid?.() === 0
  const sudo = process.stdin.isTTY ? ['sudo'] : ['sudo', '-n']
  if (!root && !succeeds('sudo', '--version')) byHand('you are not root and there is no sudo')
  const apt = (...args: string[]) => {
    const [program = '', ...rest] = [...(root ? [] : sudo), 'apt-get', ...args]
    say(`running: ${[program, ...rest].join(' ')}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    return spawnSync(program, rest, { stdio: ['inherit', 'ignore', 'inherit'], env }).status === 0
  }
  // Failure is harmless if the package is in the existing lists.
  apt('update', '-q')
  if (!apt('install', '-y', '-q', '--no-install-recommends', ...missing)) {
    byHand(`"apt-get install ${missing.join(' ')}" failed`)
  }
}

export interface SetupResult {
  readonly changed: boolean
  /** Version of LibTorch. */
  readonly version: string
}

/** The addon for images is optional: sharp replaces it, more slowly. */
function setUpPixels(say: (line: string) => void): boolean {
  if (isCompiled(planPixels())) return false
  try {
    if (!hasJpegHeader() && existsSync('/usr/bin/dpkg-query')) installPackages([jpegPackage], say)
  } catch {
    say(`continuing without ${jpegPackage}, so sharp decodes JPEG files`)
  }
  const build = planPixels() // differs if the header was installed
  try {
    say('compiling the addon for images')
    compileAddon(build)
    return true
  } catch {
    say('it could not be compiled, so sharp decodes; "sherd doctor" says why')
    return false
  }
}

/**
 * Compiles both addons for other machines with this version of LibTorch, wherever it lies there: to `native/prebuilt/`. Their CPUs may be
 * others, so that the kernels of a CPU know no AVX-512.
 */
export function setUpPrebuilt(say: (line: string) => void): SetupResult {
  const libtorch = requireLibTorch()
  const missing = [planAddon(libtorch, 'prebuilt'), planPixels('prebuilt')].filter(
    (each) => !isCompiled(each),
  )
  for (const build of missing) {
    say(`compiling ${build.path}`)
    compileAddon(build)
  }
  return { changed: missing.length > 0, version: libtorch.version }
}

/** Throws `ENGINE_MISSING` or `ENGINE_BUILD` with what to do by hand. */
export function setUp(say: (line: string) => void): SetupResult {
  let changed = false
  const missing =
    process.platform === 'linux' && existsSync('/usr/bin/dpkg-query') ? missingPackages(findLibTorch()) : []
  if (missing.length > 0) {
    installPackages(missing, say)
    changed = true
  }
  const libtorch = requireLibTorch()
  const build = planAddon(libtorch)
  if (!isCompiled(build)) {
    say(`compiling the addon for LibTorch ${libtorch.version}`)
    compileAddon(build)
    changed = true
  }
  return { changed: setUpPixels(say) || changed, version: libtorch.version }
}
