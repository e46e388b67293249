/** Approximate search by usearch (HNSW, Malkov and Yashunin 2016). Built on one thread, so that the same vectors give the same graph. */
import { existsSync } from 'node:fs'
import type { BatchMatches, Index, Matches } from 'usearch'
import { messageOf, SherdError } from '../../errors.ts'
import { takeTurns } from './event-loop.ts'
import type { Candidates } from './nearest.ts'
import type { Vectors } from './unit-vectors.ts'

export interface GraphSettings {
  /** Edges per vector. */
  readonly connectivity: number
  /** Candidates kept while adding a vector. */
  readonly expansionAdd: number
  /** Candidates kept during a search: more are slower and raise the recall. */
  readonly expansionSearch: number
}

export const graphDefaults: GraphSettings = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 }

async function usearch(): Promise<typeof import('usearch')> {
  try {
    return await import('usearch')
  } catch (error) {
    throw new SherdError(
      'ENGINE_MISSING',
      `usearch could not be loaded (${messageOf(error)}). Its package has binaries for Linux (glibc) and macOS: install it with "npm install usearch", or search exactly with --exact.`,
      { cause: error },
    )
  }
}

async function emptyGraph(width: number, settings: GraphSettings): Promise<Index> {
  const { Index, MetricKind, ScalarKind } = await usearch()
  return new Index({
    ...{ dimensions: width, metric: MetricKind.IP, quantization: ScalarKind.F32, multi: false },
    connectivity: settings.connectivity,
    ...{ expansion_add: settings.expansionAdd, expansion_search: settings.expansionSearch },
  })
}

const TOGETHER = 32 // vectors added between yields, about 15 ms

/** Builds the graph of vectors (of length 1) and writes it to `path`. Throws usearch's own error if that fails. */
export async function buildGraph(
  path: string,
  { count, width, values }: Vectors,
  settings: GraphSettings,
  onProgress?: (done: number) => void,
): Promise<void> {
  const graph = await emptyGraph(width, settings)
  const turn = takeTurns()
  onProgress?.(0)
  for (let first = 0; first < count; first += TOGETHER) {
    const rows = Math.min(TOGETHER, count - first)
    const keys = BigUint64Array.from({ length: rows }, (_, i) => BigInt(first + i))
    graph.add(keys, values.subarray(first * width, (first + rows) * width), 1)
    onProgress?.(first + rows)
    await turn()
  }
  graph.save(path)
}

/**
 * Opens the graph of `vectors`. usearch does not validate the file: callers must have checked its checksum. Throws `RUN` if it is of
 * other vectors.
 */
export async function openGraph(
  path: string,
  { count, width }: Pick<Vectors, 'count' | 'width'>,
  { settings, threads }: { settings: GraphSettings; threads: number },
): Promise<Candidates> {
  const graph = await emptyGraph(width, settings)
  if (!existsSync(path)) throw new SherdError('RUN', `${path} is missing.`)
  graph.load(path)
  if (graph.size() !== count || graph.dimensions() !== width)
    throw new SherdError(
      'RUN',
      `${path} holds ${graph.size()} vectors of ${graph.dimensions()} numbers, expected ${count} of ${width}.`,
    )
  return {
    atOnce: 32,
    async rows(queries, wanted) {
      // Several queries give a batch result, which the package's types lack for flat arrays.
      const found: unknown = graph.search(queries.values, wanted, threads)
      const each =
        queries.count === 1
          ? [found as Matches]
          : Array.from({ length: queries.count }, (_, i) => (found as BatchMatches).get(i))
      return each.map(({ keys }) => [...new Set(Array.from(keys, Number))].filter((row) => row < count))
    },
    close: async () => {},
  }
}
