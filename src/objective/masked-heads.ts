/** The heads of a masked objective: what they predict of tokens, its loss, and what is logged of it. A reader with a second head has all of it twice. */
import { SherdError } from '../errors.ts'
import type { BackboneShape } from '../model/backbone-shape.ts'
import type { Wanted } from '../model/decoder/decoder.ts'
import { type HeadWidths, headRows, predictAll, predictHidden } from '../model/decoder/heads.ts'
import type { ParameterRow, Weights } from '../model/parameters.ts'
import type { BandGroup } from '../model/stem/patch-embedding.ts'
import type { Asked, Target } from '../target/target.ts'
import { inFloat32, noGrad } from '../tensor/context.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Losses, MetricRow } from './objective.ts'
import type { TokenReader, TokensRead } from './token-reader.ts'

/** Predictions of each head, by group of bands. */
type Said = readonly (readonly Tensor[])[]

export interface MaskedHeads {
  readonly rows: readonly ParameterRow[]
  /** Of the parts of the loss, and of what is measured beside it. */
  readonly metrics: readonly MetricRow[]
  /** Of what `Target.loss` reads: hidden tokens, or all. */
  predict(read: TokensRead, asked: Asked, weights: Weights): Said
  /** At every place. */
  predictAll(read: TokensRead, weights: Weights): Said
  loss(said: Said, values: unknown, weights: Weights): Required<Pick<Losses, 'parts' | 'metrics'>>
  /** `Objective.counts` of a micro-batch. */
  counts(tokens: number): Readonly<Record<string, number>>
}

interface Head {
  /** What a part of its loss or a metric is called. */
  named(name: string): string
  features(read: TokensRead, wanted: Wanted): Tensor
  readonly widths: HeadWidths
}

function headsOf({ second }: TokenReader, widths: HeadWidths): readonly [Head, ...Head[]] {
  const first: Head = { named: (name) => name, features: (read, wanted) => read.features(wanted), widths }
  if (!second) return [first]
  return [
    first,
    {
      named: (name) => `${second.name}-${name}`,
      features: (read, wanted) => read.second!(wanted),
      widths: Object.fromEntries(Object.entries(widths).map(([name, W]) => [second.prefix + name, W])),
    },
  ]
}

interface Space {
  readonly shape: BackboneShape
  readonly groups: readonly BandGroup[]
}

/** Throws `CONFIG` where features of tokens cannot be the predictions. */
function expectDirect({ width }: TokenReader, { shape, groups }: Space): void {
  const wanted = shape.dimensions.width
  if (width !== wanted || groups.length > 1)
    throw new SherdError(
      'CONFIG',
      groups.length > 1
        ? `target.head is false, and there are ${groups.length} groups of bands, each with a target: expected true`
        : `target.head is false, and a decoder gives tokens of ${width} numbers for targets of ${wanted}: expected true`,
    )
}

/** Throws `CONFIG` for a target that features cannot be compared with as they are. */
export function openHeads(reader: TokenReader, target: Target, space: Space): MaskedHeads {
  const { widths, isDirect, chanceOf = 'predicting the mean', metrics = {} } = target
  if (isDirect) expectDirect(reader, space)
  const heads = headsOf(reader, widths)
  const own = reader.second?.prefix === '' ? heads.slice(0, 1) : heads
  const hidden = ({ features, widths }: Head, read: TokensRead, weights: Weights, { routes, plan }: Asked) =>
    inFloat32(() =>
      predictHidden(
        features(read, 'hidden'),
        { routes, isPadded: plan.real !== undefined },
        widths,
        isDirect ? null : weights,
      ),
    )
  const all = ({ features, widths }: Head, read: TokensRead, weights: Weights) =>
    inFloat32(() => predictAll(features(read, 'all'), widths, isDirect ? null : weights))
  return {
    rows: isDirect ? [] : own.flatMap((head) => headRows(head.widths, reader.width)),
    metrics: heads.flatMap(({ named }): MetricRow[] => [
      ...[target.part, ...(target.moreParts ?? [])].map(
        (part): MetricRow => ({
          ...{ name: named(part), kind: 'loss', unit: '' },
          ...(part === target.part && { chance: target.chance, chanceOf }),
        }),
      ),
      ...Object.entries(metrics).map(
        ([metric, { measure: _, ...row }]): MetricRow => ({
          ...{ name: named(metric), kind: 'health', unit: '' },
          ...row,
        }),
      ),
    ]),
    predict: (read, asked, weights) =>
      heads.map((head) =>
        target.reads === 'all' ? all(head, read, weights) : hidden(head, read, weights, asked),
      ),
    predictAll: (read, weights) => heads.map((head) => all(head, read, weights)),
    loss(said, values, weights) {
      const each = said.map((predicted, h) => {
        const under = <T>(entries: readonly (readonly [string, T])[]): [string, T][] =>
          entries.map(([name, value]) => [heads[h]!.named(name), value])
        const measured = Object.entries(metrics).map(
          ([name, { measure }]) => [name, noGrad(() => measure(predicted, values))] as const,
        )
        return {
          parts: under(Object.entries(target.loss(predicted, values, weights))),
          metrics: under(measured),
        }
      })
      return {
        parts: Object.fromEntries(each.flatMap(({ parts }) => parts)),
        metrics: Object.fromEntries(each.flatMap(({ metrics }) => metrics)),
      }
    },
    counts: (tokens) => Object.fromEntries(heads.map(({ named }) => [named(target.part), tokens])),
  }
}
