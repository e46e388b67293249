/** `POST /v1/look`: what the encoder sees in images, as `sherd look` computes it. */
import { fittingOf } from '../config/assemble.ts'
import { backboneOf } from '../config/resolve.ts'
import { coloursOf, likeness, placeOf } from '../look/compare.ts'
import { type HeadMap, headMaps } from '../look/head-maps.ts'
import { prefixOf } from '../model/dimensions.ts'
import { type Grid, gridOf, tokenCount } from '../token/grid.ts'
import { prefixLength } from '../token/prefix.ts'
import { choice, type ImageRoute, jsonAnswer, npyAnswer, numbers } from './image-route.ts'
import type { ServedModel } from './models.ts'
import { Refusal } from './refusal.ts'
import { type Answering, wholeResult } from './service.ts'

export interface Seen {
  readonly grid: Grid
  /** Null where the graph gives no attention. */
  readonly heads: readonly HeadMap[] | null
  /** [N, D] */
  readonly features: Float32Array
}

interface Query {
  readonly block?: number
  readonly patch?: string
  readonly nearest: number
  readonly format: 'json' | 'npy'
}

/** Numbers of patch features that one request may hold and compare: 16 MB. */
const MOST_NUMBERS = 2 ** 22

/** How many images a request may have, with so many numbers each. */
export const mostImages = (each: number): number => Math.max(1, Math.floor(MOST_NUMBERS / each))

/** Whose attention a graph gives, and by which output; null: none. */
function attentionOf({ outputs, config }: ServedModel, block: number | undefined) {
  const { depth } = config.model
  if (block !== undefined && block >= depth)
    throw new Refusal(
      'QUERY',
      `block ${block}: expected a whole number below ${depth}, the number of the blocks`,
    )
  if (block === undefined && outputs.includes('poolingAttention'))
    return { of: 'pooling', block: null, output: 'poolingAttention' } as const
  if (outputs.includes('attention')) {
    const of = outputs.includes('cls') ? 'cls' : 'patches'
    return { of, block: block ?? depth - 1, output: 'attention' } as const
  }
  if (block === undefined) return null
  throw new Refusal(
    'QUERY',
    `block ${block}: this encoder.onnx gives no attention, since it was exported without --attention`,
  )
}

const patchOf = (patch: string | undefined) =>
  patch === undefined ? undefined : (patch.split(',').map(Number) as [number, number])

/** Rows of length 1; a row of zeros stays. */
function unitRows(features: Float32Array, width: number): Float32Array {
  const made = features.slice()
  for (let at = 0; at < made.length; at += width) {
    const row = made.subarray(at, at + width)
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
    for (let i = 0; length > 0 && i < width; i++) row[i]! /= length
  }
  return made
}

export function lookRoute({ compute, model }: Answering): ImageRoute<Seen> {
  const { config } = model
  const { dimensions } = backboneOf(config)
  const { width, heads, depth, imageSize, patchSize } = dimensions
  const prefix = prefixLength(prefixOf(dimensions))
  const tokens = fittingOf(config)?.budget?.most ?? tokenCount(gridOf(imageSize, patchSize))
  const most = mostImages(tokens * width)
  return {
    url: '/v1/look',
    summary:
      'What the encoder sees in each image, as `sherd look` draws it: attention, patch features as colours, patches that are alike',
    query: {
      block: {
        ...{ type: 'integer', minimum: 0, maximum: depth - 1 },
        description:
          'whose attention; by default the last, or that of attention pooling where there is no cls token',
      },
      patch: {
        ...{ type: 'string', pattern: '^\\d{1,5},\\d{1,5}$' },
        description:
          'row and column, from 0, of the patch of the first image that others are compared with; by default the most central',
      },
      nearest: {
        type: 'integer',
        minimum: 1,
        maximum: 1000,
        default: 5,
        description: 'how many patches of each image',
      },
      format: choice(
        ['json', 'npy'],
        'json',
        'npy: float32 [images, patches, width], the features of the patches with length 1: the dot product of two is their similarity, so no image need be sent again for another patch',
      ),
    },
    result: {
      grid: { type: 'object', properties: { rows: { type: 'integer' }, columns: { type: 'integer' } } },
      heads: {
        type: ['array', 'null'],
        items: {
          type: 'object',
          properties: {
            onPrefix: { type: 'number', description: 'share on cls tokens and registers' },
            patches: { ...numbers, description: 'shares, row by row; with onPrefix they sum to 1' },
          },
        },
        description: 'null where the file was exported without --attention',
      },
      colours: {
        type: 'array',
        items: { type: 'integer' },
        description: 'red, green and blue of each patch, 0 to 255',
      },
      similarity: { ...numbers, description: 'of each patch with the chosen one' },
      nearest: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            row: { type: 'integer' },
            column: { type: 'integer' },
            similarity: { type: 'number' },
          },
        },
      },
    },
    check(query) {
      attentionOf(model, (query as unknown as Query).block)
    },
    async of(image, index, { query, signal }) {
      if (index >= most)
        throw new Refusal(
          'TOO_LARGE',
          `the request has more than the ${most} images whose patches of this model can be compared at once`,
        )
      const { block, format } = query as unknown as Query
      const attention = format === 'json' ? attentionOf(model, block) : null
      const wanted = ['patches', ...(attention ? [attention.output] : [])]
      const { sample, outputs } = await compute(image, wanted, signal)
      const [, H, W] = sample.pixels.shape as [number, number, number]
      const row = (values: Float32Array, at: number | null) => {
        const each = at === null ? values.length : values.length / depth
        return values.subarray((at ?? 0) * each, ((at ?? 0) + 1) * each)
      }
      return {
        grid: gridOf([H, W], patchSize),
        heads: attention && headMaps(row(outputs[attention.output]!.values, attention.block), heads, prefix),
        features: outputs.patches!.values,
      }
    },
    answer(results, { query }) {
      const { block, patch, nearest, format } = query as unknown as Query
      if (format === 'npy') {
        const sizes = new Set(results.map((result) => wholeResult(result).features.length / width))
        if (sizes.size > 1)
          throw new Refusal(
            'QUERY',
            `format=npy: the images have ${[...sizes].join(', ')} patches, and a file holds equal numbers of them: ask for each alone`,
          )
        return npyAnswer(results, '<f4', ({ features }) => ({
          ...{ values: unitRows(features, width), shape: [features.length / width, width] },
        }))
      }
      const first = wholeResult(results[0]!)
      let chosen: number
      try {
        chosen = placeOf(patchOf(patch), first.grid, 'patch')
      } catch (error) {
        throw new Refusal('QUERY', (error as Error).message)
      }
      const vector = first.features.slice(chosen * width, (chosen + 1) * width)
      const good = results.filter((result) => 'features' in result)
      const all = new Float32Array(good.reduce((sum, { features }) => sum + features.length, 0))
      let at = 0
      for (const { features } of good) {
        all.set(features, at)
        at += features.length
      }
      const { colours, explained } = coloursOf(
        all,
        width,
        good.map(({ features }) => features.length / width),
      )
      const attention = attentionOf(model, block)
      const rowAndColumn = ({ w }: Grid, place: number) => ({ row: Math.floor(place / w), column: place % w })
      let seen = 0
      return jsonAnswer({
        attention: attention && { of: attention.of, block: attention.block },
        ...{ explained, patch: rowAndColumn(first.grid, chosen) },
        results: results.map((result) => {
          if (!('features' in result)) return result
          const { name, grid, heads, features } = result
          const like = likeness(features, vector, { nearest, own: result === results[0] ? chosen : null })
          return {
            name,
            grid: { rows: grid.h, columns: grid.w },
            heads: heads?.map(({ patches, prefix }) => ({ onPrefix: prefix, patches: [...patches] })) ?? null,
            colours: [...colours[seen++]!],
            similarity: [...like.similarity],
            nearest: like.nearest.map(({ place, similarity }) => ({
              ...rowAndColumn(grid, place),
              similarity,
            })),
          }
        }),
      })
    },
  }
}
