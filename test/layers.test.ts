// The folders are the data flow, and imports point upstream only: every import in src/ and presets/ is read and checked.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../src/package-root.ts'

/** Upstream first. A stage may import itself and what stands before it. */
const stages = [
  'errors',
  'package-root',
  'random',
  'native',
  'tensor',
  'machine',
  'collective',
  'files',
  'hub',
  'sample-data',
  'source',
  'prepare',
  'token',
  'model',
  'target',
  'optim',
  'objective',
  'config',
  'checkpoint',
  'picture',
  'train',
  'import',
  'published',
  'weights',
  'evaluate',
  'run',
  'look',
  'verify',
  'onnx',
  'export',
  'infer',
  'search',
  'serve',
  'bench',
  'plan',
  'inspect',
  'cli',
  'index', // the library as a whole
]

/** Folders that may import less than what stands before them. */
const narrower: Record<string, readonly string[]> = {
  // What sherd needs of a machine is known without knowing what it trains.
  'src/machine': ['errors', 'package-root', 'native', 'tensor', 'machine'],
  // Files, sources of samples and graphs are read, written and run without LibTorch.
  'src/files': ['errors', 'package-root', 'files'],
  'src/hub': ['errors', 'files', 'hub'],
  'src/onnx': ['errors', 'package-root', 'files', 'onnx'],
  'src/sample-data': ['errors', 'random', 'files', 'sample-data'],
  'src/source': ['errors', 'files', 'source'],
  // Vectors are searched without LibTorch, whatever made them.
  'src/search/vectors': ['errors', 'random', 'onnx', 'search/vectors'],
}

/** Packages that only some files may import, each for its own reason. */
const confined: Record<string, readonly string[]> = {
  re2js: ['src/source/raster/path-pattern.ts'],
  sharp: [
    'src/files/sharp.ts', // loads it
    'src/machine/doctor.ts', // looks whether it is there
    'src/prepare/decode/decode.ts', // types
  ],
  'src/files/sharp.ts': [
    'src/picture/render.ts', // pictures as files
    'src/picture/text.ts', // the width of text
    'src/prepare/decode/bit-depth.ts', // the largest value of images
    'src/prepare/decode/decode.ts', // images as pixels
    'src/prepare/masks/index-mask.ts', // masks as class numbers
    'src/sample-data/write-scenes.ts', // sample images as files
    'src/sample-data/satellite/write-places.ts', // masks as files
  ],
  commander: readdirSync(join(packageRoot(), 'src/cli'), { recursive: true, encoding: 'utf8' }).map(
    (name) => `src/cli/${name}`,
  ),
  fastify: [
    'src/serve/app.ts', // the server
    'src/serve/images.ts', // types
    'src/serve/routes.ts', // types
  ],
  '@fastify/multipart': [
    'src/serve/app.ts', // forms
    'src/serve/images.ts', // types
  ],
  '@fastify/swagger': ['src/serve/routes.ts'],
  '@fastify/swagger-ui': ['src/serve/routes.ts'],
  '@fastify/static': ['src/serve/routes.ts'],
  'prom-client': ['src/serve/metrics.ts'],
  'onnxruntime-node': [
    'src/onnx/session.ts', // loads it
    'src/machine/doctor.ts', // looks whether it is there
    'src/search/vectors/exact.ts', // types
  ],
  '@huggingface/hub': ['src/hub/client.ts'],
  undici: ['src/hub/requests.ts'],
  open: ['src/cli/open-page.ts'],
  yaml: ['src/cli/config-file.ts'],
  usearch: ['src/search/vectors/neighbour-graph.ts'],
  'ml-kmeans': ['src/search/vectors/clusters.ts'],
  'node-addon-api': ['src/native/compile.ts'],
  'node-api-headers': ['src/native/compile.ts'],
  'fastest-levenshtein': ['src/errors.ts'],
  'd3-scale': ['src/picture/plot.ts'],
  'd3-shape': ['src/picture/plot.ts'],
  'dejavu-fonts-ttf': ['src/picture/fonts.ts'],
  geotiff: [
    'src/source/tiff/geotiff.ts', // types
    'src/source/tiff/tiff-block.ts', // Zstandard
    'src/source/tiff/tiff-header.ts', // headers
    'src/source/tiff/tiff-layout.ts', // types
    'src/source/tiff/tiff-mask.ts', // types
  ],
}

interface Import {
  /** From the package root, such as `src/model/block.ts`. */
  readonly from: string
  /** The same for a file of ours, the package's name for others. */
  readonly to: string
  readonly typeOnly: boolean
}

const root = packageRoot()
const sources = ['src', 'presets'].flatMap((dir) =>
  readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.c?ts$/.test(name))
    .map((name) => join(dir, name)),
)

/** All that a file imports, exports from elsewhere, loads later, requires or starts as a worker. */
function importsOf(from: string): Import[] {
  const text = readFileSync(join(root, from), 'utf8')
  const patterns = [
    /^(?:import|export)\b(?<type>\s+type\b)?[^'"`;()]*?\bfrom\s+['"](?<to>[^'"]+)['"]/gm,
    /^import\s+['"](?<to>[^'"]+)['"]/gm,
    /\bimport\(\s*['"](?<to>[^'"]+)['"]\s*\)/g,
    /\brequire(?:\.resolve)?\(\s*['"](?<to>[^'"]+)['"]\s*\)/g,
    /\bcreateRequire\([^)]*\)(?:\.resolve)?\(\s*['"](?<to>[^'"]+)['"]\s*\)/g,
    /\bnew URL\(\s*['"](?<to>\.[^'"]+)['"]\s*,\s*import\.meta\.url/g,
  ]
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].flatMap(({ groups }) => {
      const to = groups!.to!
      if (to.startsWith('node:')) return []
      const ours = to.startsWith('.')
      const name = to
        .split('/')
        .slice(0, to.startsWith('@') ? 2 : 1)
        .join('/')
      return [
        {
          from,
          to: ours ? relative(root, join(root, dirname(from), to)).replace(/\.js$/, '.ts') : name,
          typeOnly: groups!.type !== undefined,
        },
      ]
    }),
  )
}

const imports = sources.flatMap(importsOf)
const internal = imports.filter(({ to }) => sources.includes(to))
const show = ({ from, to, typeOnly }: Import) => `${from} → ${to}${typeOnly ? ' (type)' : ''}`
const stageOf = (path: string) => path.split('/')[1]!.replace(/\.ts$/, '')

describe('imports', () => {
  it('are found in every form', () => {
    expect(internal.length).toBeGreaterThan(200)
    const known = [
      'src/errors.ts → fastest-levenshtein',
      'src/train/trainee.ts → src/objective/objective.ts (type)',
      'src/train/stepper.ts → src/train/recorded.ts', // over several lines
      'src/index.ts → src/tensor/ops.ts', // export * as
      'src/cli/machine/verify.ts → src/verify/verify.ts', // import()
      'src/cli/bin.cts → src/cli/main.ts',
      'src/native/compile.ts → node-addon-api', // require.resolve
      'src/picture/fonts.ts → dejavu-fonts-ttf', // createRequire().resolve
      'src/machine/doctor.ts → sharp', // createRequire()
    ]
    expect(imports.map(show)).toEqual(expect.arrayContaining(known))
  })

  it('lead to a file or a package that is there', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const lost = imports.filter(({ to }) => !sources.includes(to) && !(to in dependencies))
    expect(lost.map(show)).toEqual([])
  })

  it('know every stage', () => {
    const found = new Set(sources.filter((path) => path.startsWith('src/')).map(stageOf))
    expect([...found].sort()).toEqual([...stages].sort())
  })

  it('follow the order that docs/README.md shows, which has a page for each folder', () => {
    const page = readFileSync(join(root, 'docs/README.md'), 'utf8')
    const [, shown] = /## Order of the folders\n\n```\n([^`]*)```/.exec(page)!
    expect([...shown!.trim().split(/\s+/), 'index']).toEqual(stages)
    const pages = [...page.matchAll(/^\| \[(.*?)\.md\]\(\1\.md\)/gm)].map(([, name]) => name!)
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((each) =>
      each.isDirectory(),
    )
    expect(folders.map(({ name }) => name).filter((name) => !pages.includes(name))).toEqual([])
    const written = readdirSync(join(root, 'docs')).filter((name) => /^[a-z].*\.md$/.test(name))
    expect([...pages].map((name) => `${name}.md`).sort()).toEqual(written.sort())
  })

  it('point upstream', () => {
    const downstream = internal.filter(({ from, to }) => {
      if (from.startsWith('presets/') || to.startsWith('presets/')) return false
      const narrow = Object.entries(narrower).find(([folder]) => from.startsWith(`${folder}/`))
      if (narrow) return !narrow[1].some((part) => to === `src/${part}.ts` || to.startsWith(`src/${part}/`))
      return stages.indexOf(stageOf(to)) > stages.indexOf(stageOf(from))
    })
    expect(downstream.map(show)).toEqual([])
  })

  it('of presets are types of src/config/preset.ts, and src/config/presets.ts alone imports presets', () => {
    const out = internal.filter(({ from, to }) => from.startsWith('presets/') && to.startsWith('src/'))
    expect(out.filter(({ to, typeOnly }) => to !== 'src/config/preset.ts' || !typeOnly).map(show)).toEqual([])
    const back = internal.filter(({ from, to }) => from.startsWith('src/') && to.startsWith('presets/'))
    expect(back.map(show)).toEqual(['src/config/presets.ts → presets/index.ts'])
  })

  it('never go in circles, types included', () => {
    const edges = new Map<string, string[]>()
    for (const { from, to } of internal) edges.set(from, [...(edges.get(from) ?? []), to])
    const done = new Set<string>()
    const circle = (path: string, above: readonly string[]): string[] | null => {
      if (above.includes(path)) return [...above.slice(above.indexOf(path)), path]
      if (done.has(path)) return null
      for (const next of edges.get(path) ?? []) {
        const found = circle(next, [...above, path])
        if (found) return found
      }
      done.add(path)
      return null
    }
    for (const path of sources) expect(circle(path, [])).toBeNull()
  })

  it.each(Object.entries(confined))('of %s are confined', (name, allowed) => {
    const importers = new Set(imports.filter(({ to }) => to === name).map(({ from }) => from))
    expect([...importers].filter((path) => !allowed.includes(path))).toEqual([])
    if (name !== 'commander') expect([...importers].sort()).toEqual([...allowed].sort()) // no stale permission
  })
})

describe('the playground', () => {
  const pages = readdirSync(join(root, 'playground/src'))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join('playground/src', name))
  const direct = pages.flatMap(importsOf)

  it('takes only what needs neither Node nor a package of it, LibTorch least of all', () => {
    const reached = new Set<string>()
    const go = (path: string) => {
      if (reached.has(path)) return
      reached.add(path)
      for (const { to, typeOnly } of internal.filter(({ from }) => from === path)) if (!typeOnly) go(to)
    }
    for (const { to, typeOnly } of direct) if (to.startsWith('src/') && !typeOnly) go(to)
    expect(reached.size).toBeGreaterThan(10)
    const packages = imports
      .filter(({ from, typeOnly }) => reached.has(from) && !typeOnly)
      .map(({ to }) => to)
    expect(packages.filter((to) => !to.startsWith('src/'))).toEqual(['fastest-levenshtein'])
    const nodes = [...reached].filter((path) => /['"]node:/.test(readFileSync(join(root, path), 'utf8')))
    expect(nodes).toEqual([])
  })

  it('knows ONNX Runtime in one file', () => {
    const others = direct.filter(({ to }) => !/^(src|playground)\//.test(to))
    expect([...new Set(others.map(({ from, to }) => `${from} → ${to}`))]).toEqual([
      'playground/src/runtime.ts → onnxruntime-web',
    ])
  })
})

describe('the native addons', () => {
  it('are loaded by src/tensor/addon.ts and src/native/pixels-addon.ts, and by nothing else', () => {
    const loads = sources.filter((path) =>
      /createRequire\(import\.meta\.url\)\(build\.path\)|process\.dlopen/.test(
        readFileSync(join(root, path), 'utf8'),
      ),
    )
    expect(loads.sort()).toEqual(['src/native/pixels-addon.ts', 'src/tensor/addon.ts'])
  })

  it('are imported where handles may be known: in src/tensor, in src/prepare', () => {
    const outside = (addon: string, ...stages: string[]) =>
      internal.filter(({ from, to }) => to === addon && !stages.includes(stageOf(from)))
    expect(outside('src/tensor/addon.ts', 'tensor').map(show)).toEqual([])
    expect(outside('src/native/pixels-addon.ts', 'prepare', 'machine').map(show)).toEqual([])
  })
})
