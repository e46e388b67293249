/** The head of another program's model: what it reads, and whether it is one of classes. */
import type { ClassifierFacts } from '../checkpoint/weights-metadata.ts'
import { type EncoderNorm, headReading } from '../model/classifier.ts'
import type { FeatureName } from '../token/feature.ts'
import type { ForeignParameter } from './foreign-parameter.ts'
import type { Facts } from './layouts/facts.ts'
import type { Shapes } from './shapes.ts'

/** The head of DINOv2 reads cls, and then the mean: what of them it reads, where the other's weights are zeros. Null for other heads. */
export async function readByHead(
  parameters: Map<string, ForeignParameter>,
  { width }: Shapes,
): Promise<'cls' | 'mean' | 'cls+mean' | null> {
  const weight = parameters.get('head.weight')
  if (!weight || weight.shape[1] !== 2 * width) return null
  const isOfMean = (i: number) => i % (2 * width) >= width
  const values = await weight.read()
  const isZero = (ofMean: boolean) => values.every((value, i) => isOfMean(i) !== ofMean || value === 0)
  const only = isZero(false) ? 'mean' : isZero(true) ? 'cls' : null
  if (!only) return 'cls+mean'
  const read = async () => (await weight.read()).filter((_, i) => isOfMean(i) === (only === 'mean'))
  parameters.set('head.weight', { shape: [weight.shape[0]!, width], from: weight.from, read })
  return only
}

/** Takes out a head of regression; returns why, and their names of it. */
export function withoutHead(parameters: Map<string, ForeignParameter>, facts: Facts) {
  if (facts.problem !== 'regression') return []
  const why = 'a head of regression: its numbers are no classes'
  const names = ['head.weight', 'head.bias']
  const from = names.flatMap((name) => parameters.get(name)?.from ?? [])
  for (const name of names) parameters.delete(name)
  return from.map((name) => ({ name, why }))
}

/**
 * timm keeps the projection of CLIP as a head whose biases are zeros. Makes it a projection; whether it was one. A head with biases, or with
 * names of classes, was trained for them.
 */
export async function projectionFromHead(
  parameters: Map<string, ForeignParameter>,
  facts: Facts,
): Promise<boolean> {
  const [weight, bias] = ['head.weight', 'head.bias'].map((name) => parameters.get(name))
  if (facts.family !== 'clip' || !weight || !bias || facts.classes) return false
  if ((await bias.read()).some((value) => value !== 0)) return false
  parameters.set('projection.weight', weight)
  for (const name of ['head.weight', 'head.bias']) parameters.delete(name)
  return true
}

export function classifierOf(
  parameters: ReadonlyMap<string, ForeignParameter>,
  { classes, pool, problem, model }: Facts,
  { norm, reads }: { readonly norm: EncoderNorm; readonly reads: FeatureName | null },
): ClassifierFacts | null {
  const count = parameters.get('head.weight')?.shape[0]
  if (count === undefined) return null
  const names = classes?.length === count ? classes : Array.from({ length: count }, (_, i) => `class ${i}`)
  const isMean = norm === 'fc_norm' || pool === 'avg' || model.cls === false
  const own = model.feature === 'pooled' ? 'pooled' : isMean ? 'mean' : 'cls'
  const head = headReading(reads ?? own, norm)
  return { head, classes: names, ...(problem === 'multi_label_classification' && { isMultiLabel: true }) }
}
