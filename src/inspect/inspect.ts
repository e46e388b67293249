/**
 * What sherd sees in a file or a folder, or why it would not take it. Whatever decides is the code that training and the other commands
 * use. Nothing here needs LibTorch, and no file, however hostile, ends the process.
 */
import { closeSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SherdError } from '../errors.ts'
import { naturalOrder } from '../files/natural-order.ts'
import { notRegular, openGiven } from '../files/regular-file.ts'
import { quoted } from '../files/shell.ts'
import { restriction } from '../hub/licences.ts'
import { localModel } from '../hub/locate.ts'
import { isHubName } from '../hub/name.ts'
import {
  type Description,
  describe,
  type Inspected,
  type InspectOptions,
  type KindName,
  type Place,
  reasonFrom,
  sentence,
} from './inspected.ts'
import { type Kind, kinds } from './kinds.ts'

const START = 512

function placeOf(path: string): Place {
  if (statSync(path).isDirectory()) return { path, isFolder: true, start: Buffer.alloc(0) }
  const file = openGiven(path)
  try {
    const bytes = Buffer.alloc(START)
    return { path, isFolder: false, start: bytes.subarray(0, readSync(file, bytes, 0, START, 0)) }
  } finally {
    closeSync(file)
  }
}

async function kindAt(place: Place): Promise<keyof typeof kinds> {
  for (const [name, row] of Object.entries(kinds) as [keyof typeof kinds, Kind][])
    if (await row.isIt(place)) return name
  return 'other'
}

/** Throws `USAGE` for a path that does not exist, `INTERRUPTED`, and as `localModel`; any other fault is a reason. */
export async function inspect(given: string, options: InspectOptions): Promise<Inspected> {
  if (!isHubName(given)) return inspectPath(given, options)
  const { path, hub = given } = await localModel(given)
  const said = await inspectPath(path, options)
  const restricted = restriction(hub)
  const notes = restricted === undefined ? said.notes : [...said.notes, sentence(restricted)]
  return {
    ...said,
    path: hub,
    notes,
    next: said.next.map((line) => line.replaceAll(quoted(path), quoted(hub))),
  }
}

async function inspectPath(path: string, options: InspectOptions): Promise<Inspected> {
  const status = statSync(path, { throwIfNoEntry: false })
  if (!status) throw new SherdError('USAGE', `${path} does not exist: expected a file or a folder.`)
  let what: KindName = 'special'
  const faulty = (reason: string): Inspected => ({
    ...{ path, what, usable: false, ...describe(titles[what] ?? what, { reason }) },
  })
  if (!status.isFile() && !status.isDirectory()) return faulty(notRegular)
  try {
    const kind = await kindAt(placeOf(path))
    what = kind === 'picture' ? 'image' : kind
    const said: Description & { readonly what?: KindName } = await kinds[kind].describe(path, options)
    return { path, what, usable: said.reason === null, ...said }
  } catch (error) {
    if (error instanceof SherdError && ['BUG', 'INTERRUPTED'].includes(error.code)) throw error
    return faulty(reasonFrom(error, path))
  }
}

const titles: Partial<Record<KindName, string>> = {
  adapter: 'adapter',
  ...{ special: 'no regular file', run: 'run of sherd', checkpoint: 'checkpoint', pack: 'packed images' },
  ...{ index: 'index of images', weights: 'file of weights', graph: 'ONNX graph', pytorch: 'PyTorch file' },
}

const MOST_CHILDREN = 1000

/** The models, packs and indices that lie in a folder, for one without images. Names only. */
export async function modelsIn(dir: string): Promise<string[]> {
  const found: string[] = []
  for (const name of readdirSync(dir).sort(naturalOrder).slice(0, MOST_CHILDREN)) {
    if (name.startsWith('.')) continue
    const path = join(dir, name)
    try {
      const kind = await kindAt(placeOf(path))
      if (!['images', 'rasters', 'picture', 'other', 'masked images'].includes(kind)) found.push(path)
    } catch {
      // no file that can be read
    }
  }
  return found
}
