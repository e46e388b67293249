// One build's listing, in a process of its own, because what is forced must be set before LibTorch is loaded:
//   node take.mjs BUILD LISTING.json [NAME…]
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { writeData } from './data.mjs'
import { keyOf, probe } from './environment.mjs'
import { runs } from './runs.mjs'
import { digestOf, digestOfNumbers, tensorDigests } from './tensors.mjs'

const [build, out, ...only] = process.argv.slice(2)
const source = join(resolve(build), 'dist/src')
const load = (path) => import(pathToFileURL(path).href)

/** The table of objectives, wherever the build keeps it: only a run that is to fail needs it. */
async function findObjectives() {
  for (const name of await readdir(source, { recursive: true }))
    if (
      name.endsWith('.js') &&
      /^export (const|function) objectiveOf\b/m.test(await readFile(join(source, name), 'utf8'))
    )
      return (await load(join(source, name))).objectiveOf
  throw new Error(
    `No module in ${source} exports objectiveOf, which pretrain() takes in its options: say here what has taken its place.`,
  )
}

const folder = await mkdtemp(join(tmpdir(), 'sherd-goldens-'))
try {
  const sherd = await load(join(source, 'index.js'))
  const context = { sherd, folder, objectiveOf: await findObjectives() }
  const listing = { probe: probe(sherd), key: keyOf(sherd), data: {}, runs: {} }
  // Where the runs are to be compared with a record, those that have none need not be made.
  const records = process.env.SHERD_GOLDENS_RECORDS && JSON.parse(process.env.SHERD_GOLDENS_RECORDS)
  const record = records ? records.find(({ key }) => isDeepStrictEqual(key, listing.key)) : listing
  const isWanted = ({ name, precision }) =>
    record?.probe[precision] === listing.probe[precision] && (only.length === 0 || only.includes(name))
  if (record) listing.data = await writeData(sherd, folder)
  for (const { name, precision, take } of runs.filter(isWanted)) {
    const started = performance.now()
    const { files, losses, norms, rates } = await take(context, name)
    const tensors = await tensorDigests(files)
    listing.runs[name] = {
      precision,
      digest: digestOf(tensors),
      norms: digestOfNumbers(norms),
      rates: digestOfNumbers(rates),
      losses,
      tensors,
    }
    process.stderr.write(`${name} ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  }
  await writeFile(out, JSON.stringify(listing))
} finally {
  await rm(folder, { recursive: true, force: true })
}
