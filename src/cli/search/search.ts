/** `sherd search`: the nearest images of an index to each query. */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { SherdError } from '../../errors.ts'
import { isHubName } from '../../hub/name.ts'
import { letWaitingThreadsSleep } from '../../machine/idle-threads.ts'
import type { PrecisionName } from '../../machine/plan.ts'
import type { ImageIndex } from '../../search/index-folder.ts'
import { describeCommand, modelOption } from '../help.ts'
import { deviceOption, featurePrecisionOption, wholeNumber } from '../options.ts'
import { note, print, printJson, table, warn } from '../output.ts'
import { maxPixelsOption, type ReadingFlags } from '../reading-options.ts'
import {
  addIndexOptions,
  type IndexFlags,
  indexPrecision,
  indexSize,
  openFlagged,
  writeResult,
} from './index-options.ts'

interface Flags extends IndexFlags, Pick<ReadingFlags, 'maxPixels'> {
  readonly count: number
  readonly model?: string
  readonly keepSelf?: boolean
  readonly device: 'auto' | 'cpu' | 'cuda'
  readonly precision?: PrecisionName
}

export function addSearch(root: Command): void {
  addIndexOptions(
    describeCommand(root.command('search'), {
      group: 'Search images',
      page: 'search.md',
      examples: [
        'sherd search cat.jpg --index photos.index  # the ten images that are most like it',
        'sherd search cat.jpg --index photos.index --count 50 --out found.png  # more of them, as a picture',
      ],
    }).description('find the images of an index that are most like others'),
  )
    .argument('<query...>', 'image files, or names of images in the index')
    .option('--count <n>', 'images to find for each query', wholeNumber(1), 10)
    .addOption(
      modelOption({
        what: 'the model of the index, where its file has moved',
        required: false,
        exported: 'encoder',
      }),
    )
    .option('--keep-self', 'find an image that is in the index itself, too')
    .addOption(deviceOption())
    .addOption(featurePrecisionOption('what the index was made in'))
    .addOption(maxPixelsOption())
    .action(runSearch)
}

async function runSearch(queries: string[], flags: Flags): Promise<void> {
  letWaitingThreadsSleep()
  const { searchIndex } = await import('../../search/search-index.ts')
  const index = await openFlagged(flags)
  try {
    const { rows, vectors, computedIn } = await vectorsOf(index, queries, flags)
    const found = await searchIndex(index, vectors, flags.count, {
      except: (query) => (flags.keepSelf ? null : rows[query]!),
    })
    const results = queries.map((query, i) => ({
      query,
      isInIndex: rows[i] !== null,
      found: found[i]!.map(({ file, similarity }) => ({ file, similarity })),
    }))
    const sheet =
      flags.out === undefined ? null : await drawSheet(index, { queries, rows, found, out: flags.out })
    if (flags.json)
      return printJson({
        ...{
          kind: 'search',
          index: index.dir,
          isExact: index.isExact,
          precision: computedIn,
          results,
          sheet,
        },
      })
    if (computedIn !== null) note(`queries that are not in the index were computed in ${computedIn}`)
    for (const { query, found: list } of results) {
      print(`${query}:`)
      print(table(list.map(({ file, similarity }) => [`  ${similarity.toFixed(4)}`, file])))
    }
    if (sheet) print(sheet)
  } finally {
    await index.close()
  }
}

/** Vectors of all queries: from the index where it has them, else embedded by its model. */
async function vectorsOf(
  index: ImageIndex,
  queries: readonly string[],
  { model, device, precision, maxPixels }: Flags,
): Promise<{ rows: (number | null)[]; vectors: Float32Array; computedIn: string | null }> {
  const { rowOfQuery, unknownQuery, vectorsOfRows } = await import('../../search/search-index.ts')
  const rows = queries.map((query) => rowOfQuery(index, query))
  const files = queries.filter((_, i) => rows[i] === null)
  for (const file of files) if (!existsSync(file) || !statSync(file).isFile()) throw unknownQuery(index, file)
  const { width } = index.facts
  const vectors = new Float32Array(queries.length * width)
  let computedIn: string | null = null
  if (files.length > 0) {
    const { embedFiles, openEmbedder } = await import('../../search/embedder.ts')
    const { expectModel } = await import('../../search/make-index.ts')
    const path = model ?? index.facts.model?.path
    if (path === undefined)
      throw new SherdError(
        'USAGE',
        `${index.dir} does not know its model: give --model, or names of images in it.`,
      )
    if (!isHubName(path) && !existsSync(path))
      throw new SherdError(
        'RUN',
        `${path}, the model of the index, is not there: give the file with --model, or names of images in the index.`,
      )
    const embedder = await openEmbedder(path, {
      device,
      ...indexPrecision(index, path, { precision }),
      ...indexSize(index, {}),
      reading: { maxPixels },
    })
    expectModel(index, embedder)
    if (!index.facts.model?.sha256)
      warn(
        `${index.dir} was made of features: whether ${path} is still the file that made them is not known.`,
      )
    computedIn = embedder.origin.precision
    const made = await embedFiles(embedder, files, index.facts.pooling)
    if (made.width !== width)
      throw new SherdError(
        'RUN',
        `${path} gives ${made.width} numbers for an image, and ${index.dir} holds vectors of ${width}: it is of another model.`,
      )
    let at = 0
    for (const [i, row] of rows.entries())
      if (row === null) vectors.set(made.values.subarray(at * width, ++at * width), i * width)
  }
  for (const [i, row] of rows.entries()) if (row !== null) vectors.set(vectorsOfRows(index, [row]), i * width)
  return { rows, vectors, computedIn }
}

async function drawSheet(
  index: ImageIndex,
  {
    queries,
    rows,
    found,
    out,
  }: {
    queries: readonly string[]
    rows: readonly (number | null)[]
    found: readonly (readonly { file: string; row: number; similarity: number }[])[]
    out: string
  },
): Promise<string> {
  const { drawFound } = await import('../../search/index-sheets.ts')
  const { thumbnailOfFile, thumbnailsOf } = await import('../../search/thumbnails.ts')
  const own = await thumbnailsOf(
    index,
    rows.filter((row) => row !== null),
  )
  const asked = []
  for (const [i, query] of queries.entries()) {
    const row = rows[i] ?? null
    const tile = row === null ? await thumbnailOfFile(resolve(query)) : (own.get(row) ?? null)
    asked.push({ name: query, tile, found: found[i]! })
  }
  return writeResult(out, await drawFound(index, asked))
}
