/** NumPy arrays as rasters: `.npy`, and `.npz` with one array of all bands or a member for each band. */
import { messageOf } from '../../errors.ts'
import { type ByteFile, openBytes, unusable } from '../../files/byte-file.ts'
import { type NpyHead, npyHead, npyHeadBytes } from '../../files/npy.ts'
import { readMember, readMemberStart, readPart, type ZipMember, zipMembers } from '../../files/zip.ts'
import type { Box, Size } from '../box.ts'
import { noDataOf } from './no-data.ts'
import { arrayBytes, numbersFrom, rasterType, rasterTypeOf, textsFrom, timesFrom } from './numpy-values.ts'
import type {
  BandPlace,
  Layer,
  RasterAccess,
  RasterContent,
  RasterFile,
  RasterStorage,
  ReadOptions,
} from './raster-file.ts'
import { copyValues, typeName, type Values } from './sample-type.ts'

/** Usual names of an array of all bands. */
const ARRAYS = ['images', 'x', 'arr_0', 'data']
const BANDS = 'bands'
const DATES = ['dates', 'times']
/** Of members with names and dates. */
const MAX_TEXT_BYTES = 16e6
/** Compressed members up to this size are cached whole; larger ones are decompressed for each read. */
const MOST_KEPT = 64e6
const MOST_MEMBERS = 4096

interface Axes extends Size {
  readonly bands: number
  readonly items: number | null
  readonly frames: number | null
}

function axesOf({ shape, dtype }: NpyHead, frames: number): Axes {
  const [width, height] = [shape.at(-1)!, shape.at(-2)!]
  const [a, b, c] = shape as [number, number, number]
  if (shape.length < 2 || shape.length > 5 || shape.includes(0))
    throw unusable(
      `its array is (${shape.join(', ')}) of ${dtype}: [C, H, W], [N, C, H, W], [T, C, H, W] or [N, T, C, H, W] is expected`,
    )
  if (shape.length === 2) return { width, height, bands: 1, items: null, frames: null }
  if (shape.length === 3) return { width, height, bands: a, items: null, frames: null }
  if (shape.length === 5) return { width, height, bands: c, items: a, frames: b }
  return { width, height, bands: b, items: frames === 1 ? a : null, frames: frames === 1 ? null : a }
}

/** Advice for an unexpected number of bands: the last axis may be that of the bands. */
function adviceOn({ shape }: NpyHead): string | null {
  const [h, w, c] = shape.slice(-3)
  if (shape.length < 3 || shape.length > 5 || !(c! < h! && c! < w!)) return null
  return `its array is (${shape.join(', ')}): if the last axis holds the bands, put it before height and width with np.moveaxis(array, -1, -3)`
}

/** Index of a place's [H, W] plane in its array. */
function planeOf({ shape }: NpyHead, { band, item, frame }: BandPlace): number {
  const ranks: Readonly<Record<number, readonly number[]>> = {
    2: [],
    3: [frame ?? band],
    4: [item ?? frame ?? 0, band],
    5: [item ?? 0, frame ?? 0, band],
  }
  const at = ranks[shape.length]
  if (!at?.every((index, axis) => index < shape[axis]!))
    throw unusable(`its array is (${shape.join(', ')}), and [${at}] of it is wanted`)
  return at.reduce((plane, index, axis) => plane * shape[axis]! + index, 0)
}

const sizeOf = (head: NpyHead, place: BandPlace): Size => {
  planeOf(head, place)
  return { width: head.shape.at(-1)!, height: head.shape.at(-2)! }
}

const storageOf = (head: NpyHead): RasterStorage => ({
  ...{ type: typeName(rasterTypeOf(head)), nodata: null, mask: null, block: null },
  ...{ isTiled: false, overviews: 0 },
})

const unnamed = ({ width, height, bands, frames }: Axes): Layer[] =>
  Array.from({ length: bands }, (_, band) => ({ name: null, isNamed: false, band, width, height, frames }))

async function readPlane(
  head: NpyHead,
  { left, top, width, height }: Box,
  {
    place,
    nodata,
    bytesAt,
  }: {
    place: BandPlace
    nodata: ReadOptions['nodata']
    bytesAt: (offset: number, length: number) => Promise<Buffer>
  },
): Promise<Float32Array> {
  const line = head.shape.at(-1)!
  const rows = head.shape.at(-2)!
  const size = rasterTypeOf(head).bytes
  const first = (planeOf(head, place) * rows + top) * line
  const values = numbersFrom(await bytesAt(first * size, height * line * size), head)
  return copyRows(values, head, { line, first: left }, { width, height, nodata })
}

function copyRows(
  values: Values,
  head: NpyHead,
  { line, first }: { line: number; first: number },
  { width, height, nodata: number }: Size & { nodata: ReadOptions['nodata'] },
): Float32Array {
  const nodata = number === null ? null : noDataOf(number, rasterTypeOf(head))
  const out = new Float32Array(width * height)
  for (let y = 0; y < height; y++)
    copyValues(out, values, { from: first + y * line, stride: 1, to: y * width, count: width, nodata })
  return out
}

export async function openNpyRaster({ path }: RasterAccess): Promise<RasterFile> {
  const file = await openBytes(path)
  try {
    const head = npyHead(await file.read(0, Math.min(file.size, npyHeadBytes)))
    rasterTypeOf(head)
    if (head.start + arrayBytes(head) !== file.size)
      throw unusable(
        `${head.dtype} of shape (${head.shape.join(', ')}) do not make its ${file.size} bytes: it is cut short or damaged`,
      )
    return {
      describe: async (frames) => {
        const axes = axesOf(head, frames)
        return {
          ...{ layers: unnamed(axes), items: axes.items, timeOf: () => null, grid: null },
          storage: storageOf(head),
          advice: adviceOn(head),
        }
      },
      sizeOf: (place) => sizeOf(head, place),
      read: (places, region, { nodata }) =>
        Promise.all(
          places.map((place) => {
            const bytesAt = (offset: number, length: number) => file.read(head.start + offset, length)
            return readPlane(head, region, { place, nodata, bytesAt })
          }),
        ),
      close: file.close,
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

interface Member {
  readonly zip: ZipMember
  readonly head: NpyHead
}

export async function openNpzRaster({ path, blocks }: RasterAccess): Promise<RasterFile> {
  const file = await openBytes(path)
  try {
    const members = new Map<string, Member>()
    const problems: string[] = []
    const all = await zipMembers(file)
    if (all.length > MOST_MEMBERS)
      throw unusable(`it has ${all.length} members, and at most ${MOST_MEMBERS} are read`)
    for (const zip of all) {
      if (!zip.name.endsWith('.npy')) continue
      const name = zip.name.slice(0, -4)
      if (members.has(name)) throw unusable(`it has two members ${zip.name}`)
      const head = await headOf(file, zip)
      if (typeof head === 'string') problems.push(head)
      else members.set(name, { zip, head })
    }
    if (members.size === 0 && problems[0]) throw unusable(problems[0])
    const memberOf = ({ member }: BandPlace): Member => {
      const found = members.get(member ?? '')
      if (!found) throw unusable(`it has no member ${member}`)
      rasterTypeOf(found.head)
      return found
    }
    return {
      sizeOf: (place) => sizeOf(memberOf(place).head, place),
      describe: (frames) => describeNpz(file, members, { frames, problem: problems[0] }),
      read: (places, region, { nodata }) =>
        Promise.all(
          places.map(async (place) => {
            const { head, zip } = memberOf(place)
            if (!zip.isDeflated || zip.bytes > MOST_KEPT) {
              const bytesAt = (offset: number, length: number) =>
                readPart(file, zip, head.start + offset, length)
              return readPlane(head, region, { place, nodata, bytesAt })
            }
            const values = await blocks.get(`${path}\n${zip.name}`, async () => {
              const bytes = await readMember(file, zip)
              return numbersFrom(Buffer.from(new Uint8Array(bytes.subarray(head.start)).buffer), head)
            })
            const [rows, line] = head.shape.slice(-2) as [number, number]
            const first = (planeOf(head, place) * rows + region.top) * line + region.left
            return copyRows(values!, head, { line, first }, { ...region, nodata })
          }),
        ),
      close: file.close,
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** The header, or the reason why it cannot be read: the member may not be needed. */
async function headOf(file: ByteFile, zip: ZipMember): Promise<NpyHead | string> {
  const bytes = Buffer.from(await readMemberStart(file, zip, npyHeadBytes))
  try {
    const head = npyHead(bytes)
    if (head.start + arrayBytes(head) !== zip.bytes && arrayBytes(head) > 0)
      throw unusable(`${head.dtype} of shape (${head.shape.join(', ')}) do not make its ${zip.bytes} bytes`)
    return head
  } catch (error) {
    return `its member ${zip.name}: ${messageOf(error)}`
  }
}

type Members = ReadonlyMap<string, Member>

async function bytesOf(file: ByteFile, { zip, head }: Member): Promise<Buffer> {
  if (zip.bytes > MAX_TEXT_BYTES)
    throw unusable(`its member ${zip.name} of ${zip.bytes} bytes is too large for what it is`)
  return Buffer.from(new Uint8Array((await readMember(file, zip)).subarray(head.start)).buffer)
}

async function describeNpz(
  file: ByteFile,
  members: Members,
  { frames, problem }: { frames: number; problem: string | undefined },
): Promise<RasterContent> {
  const array = ARRAYS.find((name) => members.has(name))
  const dates = DATES.find((name) => members.has(name))
  const times = dates === undefined ? null : await timesOf(file, members.get(dates)!)
  if (array === undefined) {
    const layers = layersByMember(members)
    if (layers.length === 0)
      throw unusable(
        problem ??
          `it holds ${[...members.keys()].join(', ') || 'nothing'}: an array named ${ARRAYS.join(', ')}, or one for each band, is expected`,
      )
    const storage = storageOf(members.get(layers[0]!.member!)!.head)
    return { layers, items: null, timeOf: (_, frame) => times?.[frame] ?? null, grid: null, storage }
  }
  const { head } = members.get(array)!
  rasterTypeOf(head)
  const axes = axesOf(head, frames)
  const names = members.has(BANDS) ? await namesOf(file, members.get(BANDS)!) : null
  const advice = adviceOn(head)
  if (names && names.length !== axes.bands)
    throw unusable(
      `its ${names.length} names of bands are not those of ${axes.bands} bands${advice === null ? '' : `; ${advice}`}`,
    )
  const [items, dated] = [axes.items ?? 1, axes.frames ?? 1]
  if (times && times.length !== dated && times.length !== items * dated)
    throw unusable(`its ${times.length} dates are not those of ${items * dated} frames`)
  const isForEach = times?.length === items * dated
  return {
    layers: unnamed(axes).map((layer) => {
      const name = names?.[layer.band] ?? null
      return { ...layer, name, isNamed: name !== null, member: array }
    }),
    items: axes.items,
    timeOf: (item, frame) => times?.[isForEach ? item * dated + frame : frame] ?? null,
    ...{ grid: null, storage: storageOf(head), advice },
  }
}

function layersByMember(members: Members): Layer[] {
  return [...members].flatMap(([member, { head }]): Layer[] => {
    const { shape } = head
    if (!rasterType(head) || shape.length < 2 || shape.length > 3 || shape.includes(0)) return []
    const size = { width: shape.at(-1)!, height: shape.at(-2)! }
    return [
      {
        name: member,
        isNamed: true,
        band: 0,
        member,
        ...size,
        frames: shape.length === 3 ? shape[0]! : null,
      },
    ]
  })
}

const timesOf = async (file: ByteFile, member: Member) => timesFrom(await bytesOf(file, member), member.head)

const namesOf = async (file: ByteFile, member: Member) => textsFrom(await bytesOf(file, member), member.head)
