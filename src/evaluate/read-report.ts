/** Reads what evaluations wrote, by the version in `format`: what older versions do not say is null. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf, SherdError } from '../errors.ts'
import { readRegular } from '../files/regular-file.ts'

const MOST_BYTES = 256 * 2 ** 20 // the confusion matrix of 10,000 classes
const FILE = 'report.json'

const share = z.number()
const spread = z.object({ mean: share, deviation: z.number().min(0) })
export type Spread = z.infer<typeof spread>

const common = {
  model: z.object({ path: z.string(), step: z.number().nullable(), precision: z.string().optional() }),
  classes: z.array(z.string()),
  seeds: z.array(z.number()).min(1),
  data: z.object({
    ...{ train: z.string(), test: z.string(), trainImages: z.number(), testImages: z.number() },
    fingerprints: z.object({ train: z.string(), test: z.string() }).optional(),
  }),
}

const evaluation = z.object({
  format: z.enum(['sherd-evaluation/1', 'sherd-evaluation/2']),
  ...common,
  protocol: z.string(),
  rows: z.array(
    z.object({
      ...{ group: z.string(), pooling: z.string(), setting: z.string() },
      ...{ top1: spread, meanRecall: spread.optional(), macroF1: spread.optional() },
    }),
  ),
  chosen: z.array(z.number()).min(1),
})

const segmentation = z.object({
  format: z.enum(['sherd-segmentation/1', 'sherd-segmentation/2']),
  ...common,
  rows: z
    .array(z.object({ head: z.string(), meanIou: spread, pixelAccuracy: spread, meanAccuracy: spread }))
    .min(1),
})

const schema = z.discriminatedUnion('format', [evaluation, segmentation])

/** A result of a report: one that counts, or a head of segmentation. */
export interface Result {
  /** Of `fewshot`, such as `1 %`; else empty. */
  readonly group: string
  /** Such as `mean, base rate 1`, or a head. */
  readonly setting: string
  readonly values: Readonly<Record<string, Spread | null>>
}

export interface ReadReport {
  readonly path: string
  readonly kind: 'classification' | 'segmentation'
  readonly protocol: string
  readonly model: {
    readonly path: string
    readonly step: number | null
    readonly precision?: string | undefined
  }
  readonly classes: readonly string[]
  readonly seeds: readonly number[]
  readonly data: z.infer<typeof evaluation>['data']
  readonly results: readonly Result[]
}

function expectObject(path: string): unknown {
  try {
    return JSON.parse(readRegular(path, MOST_BYTES))
  } catch (error) {
    throw new SherdError('SOURCE', `${path} cannot be read as a report: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** Throws `SOURCE` for a file that no version of sherd wrote as a report, or that a later one did. */
export function readReport(path: string): ReadReport {
  const raw = expectObject(path)
  const parsed = schema.safeParse(raw)
  if (!parsed.success) {
    const format = (raw as { format?: unknown } | null)?.format
    const known = typeof format === 'string' && /^sherd-(?:evaluation|segmentation)\/[12]$/.test(format)
    throw new SherdError(
      'SOURCE',
      known
        ? `${path} is not whole: ${z.prettifyError(parsed.error)}`
        : `${path} is no report of "sherd evaluate" that this version reads: expected the format sherd-evaluation/1 or /2, or sherd-segmentation/1 or /2, got ${JSON.stringify(format) ?? 'none'}.`,
    )
  }
  const report = parsed.data
  const { model, classes, seeds, data } = report
  const about = { path, model, classes, seeds, data }
  if ('chosen' in report) {
    const results = report.chosen.flatMap((place) => {
      const row = report.rows[place]
      if (!row) return []
      const { group, pooling, setting, top1, meanRecall = null, macroF1 = null } = row
      return [{ group, setting: `${pooling}, ${setting}`, values: { top1, meanRecall, macroF1 } }]
    })
    if (results.length === 0) throw new SherdError('SOURCE', `${path} has no result.`)
    return { ...about, kind: 'classification', protocol: report.protocol, results }
  }
  const results = report.rows.map(({ head, meanIou, pixelAccuracy, meanAccuracy }) => ({
    ...{ group: '', setting: head, values: { meanIou, pixelAccuracy, meanAccuracy } },
  }))
  return { ...about, kind: 'segmentation', protocol: 'segment', results }
}

/** `report.json` of a path: itself, the one in the folder, or those of its folders (`sherd evaluate frozen`). Throws `SOURCE`. */
export function reportsAt(path: string): string[] {
  if (!existsSync(path))
    throw new SherdError('SOURCE', `There is no ${path}: expected a report.json, or its folder.`)
  if (!statSync(path).isDirectory()) return [path]
  const own = join(path, FILE)
  if (existsSync(own)) return [own]
  // The first one is what others are compared with: that of the simplest protocol.
  const simplest = ['knn', 'linear', 'fewshot']
  const placeOf = (name: string) => (simplest.includes(name) ? simplest.indexOf(name) : simplest.length)
  const inside = readdirSync(path)
    .sort((a, b) => placeOf(a) - placeOf(b) || (a < b ? -1 : 1))
    .map((name) => join(path, name, FILE))
    .filter(existsSync)
  if (inside.length > 0) return inside
  throw new SherdError('SOURCE', `${path} holds no report: expected ${FILE} in it, or in its folders.`)
}
