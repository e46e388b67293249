import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSatelliteData } from '../../../src/sample-data/satellite/write-places.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { bodyOf, startServer } from '../../serve/make-served.ts'
import { startHeld } from '../held.ts'
import { inProcess, type Outcome, set, sherd, tinyModel, workFolder } from '../sherd.ts'

let dir: string
const started = new Set<string>()
/** Each command for the first time as a program, in which a request for LibTorch would fail; then in this process. */
function run(command: string, ...args: string[]): Promise<Outcome> {
  if (started.has(command)) return inProcess([command, ...args], { cwd: dir })
  started.add(command)
  const env = { LIBTORCH: join(dir, 'nowhere'), XDG_CACHE_HOME: join(dir, 'cache') }
  return sherd([command, ...args], { cwd: dir, env })
}

/** Its only line of JSON; `kind` is what its schema says. */
async function told(...args: [string, ...string[]]): Promise<Record<string, unknown>> {
  const { status, stderr, json } = await run(...args, '--json')
  const others = stderr.replaceAll(/^warning: the vectors are of a model that was not trained.*\n/gm, '')
  expect([status, others]).toEqual([0, expect.not.stringMatching(/warning|error|left out/)])
  const [{ kind: _, ...fields } = {}] = json()
  return fields
}
const read = (name: string) => readFileSync(join(dir, name), 'utf8')
const widthOf = async (name: string) => (await sharp(join(dir, name)).metadata()).width

beforeAll(async () => {
  dir = await workFolder()
  await writeSampleData({ dir: join(dir, 'photos'), count: 30, size: 48, seed: 3 })
  const model = ['--model', 'random', '--preset', 'mae-demo', ...tinyModel()]
  const exported = await inProcess(['export', 'onnx', ...model, '--out', 'out'], { cwd: dir })
  expect(exported.status).toBe(0)
  copyFileSync(join(dir, 'out/encoder.onnx'), join(dir, 'encoder.onnx'))
  const made = await told('index', 'photos', '--model', 'encoder.onnx', '--out', 'index')
  expect(made).toEqual({
    ...{ index: join(dir, 'index'), images: 30, width: 32, embedded: 30, removed: 0, skipped: 0 },
    ...{ search: { kind: 'exact' }, precision: 'fp32', feature: 'mean' },
  })
  copyFileSync(join(dir, 'photos', files()[0]!), join(dir, 'copy.png'))
})

const first = () =>
  (JSON.parse(read('index/index.json')) as { files: { images: { name: string } } }).files.images.name
const files = () =>
  (JSON.parse(read(`index/${first()}`)) as { images: { file: string }[] }).images.map(({ file }) => file)

describe('sherd search', () => {
  it('finds images by files and by names, without LibTorch, and draws them', async () => {
    const [known] = files()
    const { results, sheet } = await told(
      ...[
        'search',
        'copy.png',
        known!,
        `photos/${known}`,
        '--index',
        'index',
        '--count',
        '4',
        '--out',
        'a/s.png',
      ],
    )
    const [copy, name, path] = results as {
      isInIndex: boolean
      found: { file: string; similarity: number }[]
    }[]
    expect([copy!.isInIndex, name!.isInIndex, path!.isInIndex]).toEqual([false, true, true])
    expect(copy!.found[0]).toEqual({ file: known, similarity: expect.closeTo(1, 5) }) // embedded again
    expect(name!.found).toHaveLength(4)
    expect(name!.found.map(({ file }) => file)).not.toContain(known) // itself
    expect(path!.found).toEqual(name!.found)
    expect(copy!.found.slice(1).map(({ file }) => file)).toEqual(
      name!.found.slice(0, 3).map(({ file }) => file),
    )
    expect(sheet).toBe(join(dir, 'a/s.png'))
    expect(await widthOf('a/s.png')).toBe(20 + 128 + 28 + 4 * 140 - 12 + 20)
  })

  it('finds the image itself with --keep-self', async () => {
    const [known] = files()
    const { results } = await told('search', known!, '--index', 'index', '--count', '1', '--keep-self')
    expect(results).toMatchObject([{ found: [{ file: known, similarity: expect.closeTo(1, 6) }] }])
  })

  it.each<[string, () => string[], number, string]>([
    ['a name that is close to one', () => [`${files()[0]!.slice(0, -1)}`], 1, 'Did you mean "'],
    ['a file that is no image', () => ['broken.jpg'], 1, 'broken.jpg: expected a JPEG'],
    ['another model', () => ['copy.png', '--model', 'other.onnx'], 1, 'was made with another model'],
    ['a folder that is no index', () => ['copy.png', '--index', 'photos'], 1, 'is no index'],
    ['no number', () => ['copy.png', '--count', '0'], 2, 'Expected a whole number of at least 1'],
    ['a sheet of another kind', () => ['copy.png', '--out', 's.gif'], 2, 'ends in .png'],
  ])('refuses %s', async (name, args, expected, message) => {
    writeFileSync(join(dir, 'broken.jpg'), 'no image at all')
    // The same graph with one byte more of metadata: doc_string, field 6 of the model.
    const other = Buffer.concat([readFileSync(join(dir, 'encoder.onnx')), Buffer.from([0x32, 1, 65])])
    writeFileSync(join(dir, 'other.onnx'), other)
    const { status, stderr } = await run(
      'search',
      ...(name.includes('no index') ? [] : ['--index', 'index']),
      ...args(),
    )
    expect(status).toBe(expected)
    expect(stderr).toContain(message)
  })
})

describe('sherd duplicates, outliers, clusters', () => {
  beforeAll(async () => {
    const [one, two] = files()
    mkdirSync(join(dir, 'more/a, b'), { recursive: true })
    for (const file of files()) {
      mkdirSync(join(dir, 'more', file, '..'), { recursive: true })
      copyFileSync(join(dir, 'photos', file), join(dir, 'more', file))
    }
    const source = sharp(join(dir, 'photos', one!))
    await source
      .clone()
      .jpeg({ quality: 97, chromaSubsampling: '4:4:4' })
      .toFile(join(dir, 'more/a, b/again.jpg'))
    await source
      .clone()
      .resize(96, 96, { kernel: 'lanczos3' })
      .png()
      .toFile(join(dir, 'more/a, b/larger.png'))
    copyFileSync(join(dir, 'photos', two!), join(dir, 'more/a, b/same.png'))
    expect((await run('index', 'more', '--model', 'encoder.onnx', '--out', 'more-index')).status).toBe(0)
  })

  it('finds what was made of the same image, and keeps the largest', async () => {
    const { groups, isComplete } = await told(
      ...['duplicates', '--index', 'more-index', '--threshold', '0.999', '--out', 'd.png', '--csv', 'd.csv'],
    )
    const [one, two] = files()
    const found = (groups as { images: { file: string; keep: boolean; width: number }[] }[]).map(
      ({ images }) => images.map(({ file, keep, width }) => [file, width, keep]),
    )
    expect(isComplete).toBe(true)
    expect(found.find((images) => images.some(([file]) => file === one))).toEqual(
      [
        ['a, b/again.jpg', 48, false],
        ['a, b/larger.png', 96, true],
        [one, 48, false],
      ].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    )
    expect(found.find((images) => images.some(([file]) => file === two))).toHaveLength(2)
    const lines = read('d.csv').trim().split('\r\n')
    expect(lines[0]).toBe('group,file,keep,width,height,bytes,link,link_to')
    expect(lines).toContainEqual(expect.stringMatching(/^\d+,"a, b\/larger\.png",1,96,96,\d+,,$/))
    expect(lines).toHaveLength(1 + found.flat().length)
    expect(await widthOf('d.png')).toBeGreaterThan(400)
    for (const file of files()) expect(existsSync(join(dir, 'more', file))).toBe(true)
  })

  it('says how similar images are, to choose a threshold by', async () => {
    const { status, stdout } = await run('duplicates', '--index', 'more-index')
    expect(status).toBe(0)
    expect(stdout).toContain('Similarity of images to their nearest other')
    expect(stdout).toMatch(/≥ 0.999 +\d+\n/)
    expect((await run('duplicates', '--index', 'index', '--threshold', '2')).status).toBe(2)
    const everything = await run('duplicates', '--index', 'more-index', '--threshold', '-0.9')
    expect(everything.stderr).toContain(
      'The groups say nothing about copies: 100 % of all pairs of images are at least -0.9 similar.',
    )
    expect(everything.stdout).toContain('duplicates --index ')
    expect(everything.stdout).toContain(
      '1 group of 2 files with the same bytes, whatever the model:\n  a, b/same.png  branches/',
    )
    expect(everything.stdout).not.toContain(' bytes  ')
  })

  it('ranks images by how unlike the others they are', async () => {
    copyFileSync(join(dir, 'photos', files()[2]!), join(dir, 'more/a, b/third.png'))
    const updated = await told('index', '--update', '--out', 'more-index')
    expect(updated).toMatchObject({ images: 34, embedded: 1, removed: 0 })
    const { outliers } = await told(
      ...['outliers', '--index', 'more-index', '--count', '3', '--out', 'o.png', '--csv', 'o.csv'],
    )
    const lines = read('o.csv').trim().split('\r\n').slice(1)
    const scores = lines.map((line) => Number(/,([^,]*),[^,]*$/.exec(line)![1]))
    expect(scores).toHaveLength(34)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
    expect(scores[0]).toBeGreaterThan(scores[33]!)
    expect((outliers as { score: number }[]).map(({ score }) => score)).toEqual(scores.slice(0, 3))
    expect(await widthOf('o.png')).toBe(480)
  })

  it('sorts images into clusters, the same each time', async () => {
    const args = ['clusters', '--index', 'index', '--count', '3', '--out', 'c.png', '--csv', 'c.csv'] as const
    const [a, b] = [await told(...args), await told(...args, '--overwrite')]
    expect(a).toEqual(b)
    const { clusters, agreement, silhouette, assigned } = a as {
      clusters: { images: number; label: { name: string } }[]
      agreement: { nmi: number }
      silhouette: number
      assigned: unknown[]
    }
    expect(clusters.reduce((sum, { images }) => sum + images, 0)).toBe(30)
    expect(clusters[0]!.label.name).not.toBe('')
    expect(agreement.nmi).toBeGreaterThan(0)
    expect(silhouette).toBeGreaterThan(-1)
    expect(assigned).toHaveLength(30)
    expect(read('c.csv').split('\r\n')[0]).toBe('file,cluster,distance')
    const { status, stderr } = await run('clusters', '--index', 'index', '--count', '31')
    expect([status, stderr]).toEqual([1, expect.stringContaining('take from 1 to 30')])
  })

  it('draws what has gone as missing', async () => {
    rmSync(join(dir, 'more'), { recursive: true })
    const { sheet } = await told('outliers', '--index', 'more-index', '--out', 'gone.png')
    expect(existsSync(sheet as string)).toBe(true)
  })
})

describe('sherd index', () => {
  it('of features searches without a model', async () => {
    expect((await run('embed', 'photos', '--model', 'encoder.onnx', '--out', 'f.npy')).status).toBe(0)
    const made = await told('index', '--features', 'f.npy', '--out', 'of-features', '--approximate')
    expect(made).toMatchObject({ images: 30, search: { kind: 'approximate', recall: 1 } })
    const [known] = files()
    const [approximate, exact] = await Promise.all([
      told('search', known!, '--index', 'of-features', '--out', 'f.png'),
      told('search', known!, '--index', 'index'),
    ])
    const found = ({ results }: Record<string, unknown>) =>
      (results as { found: { file: string }[] }[])[0]!.found.map(({ file }) => file)
    expect(found(approximate)).toEqual(found(exact))
    expect(existsSync(join(dir, 'f.png'))).toBe(true)
  })

  it.each<[string, string[], number, string]>([
    ['neither folder nor features', [], 2, 'Say what to index'],
    ['both', ['photos', '--features', 'f.npy'], 2, 'leave the folder'],
    ['an empty folder', ['empty', '--model', 'encoder.onnx'], 1, 'No images in'],
    ['a model that nobody could open again', ['photos', '--model', 'random'], 2, 'can be opened again'],
    [
      'a GPU for a file that has none',
      ['photos', '--model', 'encoder.onnx', '--device', 'cuda'],
      2,
      'runs on the CPU',
    ],
    ['a mistyped option', ['photos', '--exat'], 2, 'Did you mean --exact?'],
  ])('refuses %s', async (_, args, expected, message) => {
    mkdirSync(join(dir, 'empty'), { recursive: true })
    const { status, stderr } = await run('index', ...args, '--out', 'no')
    expect(status).toBe(expected)
    expect(stderr).toContain(message)
  })

  it('that is brought up to date answers as before until the switch; a server answers by the index that it has opened', async () => {
    cpSync(join(dir, 'photos'), join(dir, 'live'), { recursive: true })
    await inProcess(['index', 'live', '--model', 'encoder.onnx', '--out', 'live-index'], { cwd: dir })
    const added = join(dir, 'live', 'added.png')
    await sharp(join(dir, 'photos', files()[0]!))
      .negate()
      .png()
      .toFile(added)
    const nearest = async () => {
      const args = ['search', added, '--index', 'live-index', '--count', '1', '--keep-self', '--json']
      const { json } = await inProcess(args, { cwd: dir })
      return (json()[0]!.results as { found: { file: string }[] }[])[0]!.found[0]!.file
    }
    const serving = { model: join(dir, 'out'), index: join(dir, 'live-index') }
    const server = await startServer(serving)
    const servedBy = async ({ url }: typeof server) => {
      const answer = await fetch(`${url}/v1/neighbours?count=1`, bodyOf(readFileSync(added), 'image/png'))
      const { results } = (await answer.json()) as { results: { neighbours: { file: string }[] }[] }
      return results[0]!.neighbours[0]!.file
    }
    const before = await nearest()
    expect([before, await servedBy(server)]).toEqual([expect.stringMatching(/\//), before])
    // The new index is whole, and none of its files has been moved.
    const update = startHeld(['index', '--update', '--out', 'live-index'], dir, {
      path: 'live-index.partial/moves.json',
    })
    await update.reached
    expect([await nearest(), await servedBy(server)]).toEqual([before, before])
    update.letGo()
    expect((await update.ended).status).toBe(0)
    expect([await nearest(), await servedBy(server)]).toEqual(['added.png', before])
    expect(await servedBy(await startServer(serving))).toBe('added.png')
  })

  it('takes rasters, and shows them in true colour', async () => {
    await writeSatelliteData({
      dir: join(dir, 'sentinel'),
      count: 8,
      size: 24,
      dates: 1,
      layout: 'stack',
      masks: false,
      seed: 1,
    })
    const model = ['--model', 'random', '--preset', 'satmae-tiny-sentinel2']
    const keys = {
      ...{ 'model.width': 32, 'model.groupWidth': 8, 'model.depth': 1, 'model.heads': 2 },
      'model.imageSize': 16,
    }
    const { status } = await inProcess(
      [
        'export',
        'onnx',
        ...model,
        ...set({ ...keys, 'model.patchSize': 8 }),
        '--out',
        'satellite',
        '--data',
        'sentinel',
      ],
      { cwd: dir },
    )
    expect(status).toBe(0)
    const made = await told('index', 'sentinel', '--model', 'satellite/encoder.onnx', '--out', 'scenes')
    expect(made.images).toBeGreaterThan(1)
    await told('outliers', '--index', 'scenes', '--out', 'scenes.png')
    const { channels } = await sharp(join(dir, 'scenes.png'))
      .stats()
      .then(({ channels }) => ({ channels }))
    expect(channels.map(({ stdev }) => stdev > 5)).toEqual([true, true, true])
    const { stderr } = await run('search', 'copy.png', '--index', 'scenes')
    expect(stderr).toContain('give the name of a sample')
    expect(await told('index', '--update', '--out', 'scenes')).toMatchObject({ embedded: 0 })
  })
})
