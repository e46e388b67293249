/** Reads windows of bands from the blocks of a TIFF file. */
import type { ByteFile } from '../../files/byte-file.ts'
import type { Box } from '../box.ts'
import type { BlockCache } from '../raster/block-cache.ts'
import { copyValues, type NoData, type Values } from '../raster/sample-type.ts'
import { decodeBlock } from './tiff-block.ts'
import type { Layout } from './tiff-layout.ts'

export interface TiffBlocks {
  readonly layout: Layout
  readonly file: ByteFile
  /** The cache, and the prefix of its keys. */
  readonly blocks: BlockCache<Values | null>
  readonly name: string
}

/** `absent`: the value of sparse blocks. */
export interface Wanted {
  readonly bands: readonly number[]
  readonly nodata: NoData | null
  readonly absent: number
}

interface Place {
  /** Index of the block. */
  readonly index: number
  readonly box: Box
  readonly rows: number
}

/** The blocks that a region touches. */
function* blocksOf(
  { width, height, blockWidth, blockHeight, isTiled }: Layout,
  region: Box,
): Generator<Place> {
  const right = region.left + region.width
  const bottom = region.top + region.height
  const across = Math.ceil(width / blockWidth)
  for (let row = Math.floor(region.top / blockHeight); row * blockHeight < bottom; row++)
    for (let column = Math.floor(region.left / blockWidth); column * blockWidth < right; column++)
      yield {
        index: row * across + column,
        box: { left: column * blockWidth, top: row * blockHeight, width: blockWidth, height: blockHeight },
        // The last strip may be shorter, tiles are padded.
        rows: isTiled ? blockHeight : Math.min(blockHeight, height - row * blockHeight),
      }
}

/** Number of blocks per band. */
const planeOf = ({ width, height, blockWidth, blockHeight }: Layout): number =>
  Math.ceil(width / blockWidth) * Math.ceil(height / blockHeight)

const isLeftOut = ({ offsets, byteCounts }: Layout, index: number): boolean =>
  offsets[index] === 0 || byteCounts[index] === 0

/** Whether all blocks of a region are sparse, as GDAL writes empty ones. */
export function isAbsent(layout: Layout, region: Box, bands: readonly number[]): boolean {
  const planes = layout.isPlanar ? bands.map((band) => band * planeOf(layout)) : [0]
  for (const { index } of blocksOf(layout, region))
    if (!planes.every((first) => isLeftOut(layout, first + index))) return false
  return true
}

/** Returns NaN for no data. */
export async function readRegion(
  { layout, file, blocks, name }: TiffBlocks,
  region: Box,
  { bands, nodata, absent }: Wanted,
): Promise<Float32Array[]> {
  const out = bands.map(() => new Float32Array(region.width * region.height))
  const block = (index: number, rows: number): Promise<Values | null> =>
    isLeftOut(layout, index)
      ? Promise.resolve(null)
      : blocks.get(`${name}\n${index}`, async () =>
          decodeBlock(await file.read(layout.offsets[index]!, layout.byteCounts[index]!), layout.block, {
            ...{ rows, fullRows: layout.blockHeight },
          }),
        )
  for (const { index, box, rows } of blocksOf(layout, region))
    if (layout.isPlanar)
      for (const [i, band] of bands.entries()) {
        const values = await block(band * planeOf(layout) + index, rows)
        copyBlock({ values, box, stride: 1, first: 0 }, { out: out[i]!, region, nodata, absent })
      }
    else {
      const values = await block(index, rows)
      for (const [i, band] of bands.entries())
        copyBlock(
          { values, box, stride: layout.bands, first: band },
          { out: out[i]!, region, nodata, absent },
        )
    }
  return out
}

interface Block {
  readonly values: Values | null
  readonly box: Box
  /** Values per pixel, and the index of the requested one. */
  readonly stride: number
  readonly first: number
}

function copyBlock(
  { values, box, stride, first }: Block,
  { out, region, nodata, absent }: { out: Float32Array; region: Box; nodata: NoData | null; absent: number },
): void {
  const left = Math.max(box.left, region.left)
  const right = Math.min(box.left + box.width, region.left + region.width)
  const top = Math.max(box.top, region.top)
  const bottom = Math.min(box.top + box.height, region.top + region.height)
  for (let y = top; y < bottom; y++) {
    const to = (y - region.top) * region.width + left - region.left
    if (values)
      copyValues(out, values, {
        to,
        count: right - left,
        from: ((y - box.top) * box.width + left - box.left) * stride + first,
        stride,
        nodata,
      })
    else out.fill(absent, to, to + right - left)
  }
}
