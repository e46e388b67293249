/** The parts of a configuration, each with its conditions on other keys, and the schemas that they compose. */
import { z } from 'zod'
import { adaptKeys } from '../model/keys.ts'
import { optimizerKeys } from '../optim/keys.ts'
import type { TargetName } from '../target/targets.ts'
import { VERSION } from './migrations.ts'
import {
  choosers,
  commonKeys,
  decoderKindKeys,
  type Keys,
  kinds,
  maskKindKey,
  namesOf,
  type ObjectiveKeys,
  type ObjectiveName,
  objectives,
  runKeys,
  takenTargets,
  targetKindKeys,
  usualChoices,
} from './tables.ts'

export type Chooser = keyof typeof choosers
/** Values of the choosers. */
export type Chosen = Readonly<Record<Chooser, string>>
export interface Part {
  /** The part is read only with these values. */
  readonly when: Partial<Chosen>
  readonly keys: Keys
}

const byKind = (keys: Readonly<Record<string, Keys | null>>, when: Part['when']): Part[] =>
  Object.entries(keys).flatMap(([kind, of]) =>
    of ? [{ when: { ...when, 'data.kind': kind }, keys: of }] : [],
  )

const usualKind = targetKindKeys()
function kindKeys(objective: string) {
  const taken = takenTargets(objective as ObjectiveName)
  const usual = usualChoices(objective as ObjectiveName)['target.kind']
  const isUsual = usual === choosers['target.kind'][0] && taken.length === choosers['target.kind'].length
  return isUsual ? usualKind : targetKindKeys(usual as TargetName, taken as [TargetName, ...TargetName[]])
}

/** Keys of `group`, by the kind that `<group>.kind` names. */
const byChoice = <G extends 'decoder' | 'mask' | 'target'>(
  group: G,
  rows: Readonly<Record<string, z.ZodRawShape>>,
  when: Part['when'],
): Part[] =>
  Object.entries(rows).map(([kind, keys]) => ({
    ...{ when: { ...when, [`${group}.kind`]: kind }, keys: { [group]: keys } },
  }))

const decoderParts = (objective: string, { decoders, rasterDecoders = {} }: ObjectiveKeys): Part[] =>
  decoders
    ? [
        { when: { objective }, keys: { decoder: decoderKindKeys(namesOf(decoders)) } },
        ...byChoice('decoder', decoders, { objective }),
        ...byChoice('decoder', rasterDecoders, { objective, 'data.kind': 'rasters' }),
      ]
    : []

const maskKinds = new Map<string | undefined, ReturnType<typeof maskKindKey>>()
function kindOfMask(usual: ObjectiveKeys['mask']) {
  const key = maskKinds.get(usual) ?? maskKindKey(usual)
  maskKinds.set(usual, key)
  return key
}
const maskParts = (objective: string, { masks, mask }: ObjectiveKeys): Part[] =>
  masks
    ? [{ when: { objective }, keys: { mask: kindOfMask(mask) } }, ...byChoice('mask', masks, { objective })]
    : []

/** In the order in which a configuration is written. */
export const parts: readonly Part[] = [
  { when: {}, keys: commonKeys },
  ...Object.entries(kinds).map(([kind, { keys }]) => ({ when: { 'data.kind': kind }, keys })),
  ...Object.entries<ObjectiveKeys>(objectives).flatMap(([objective, row]): Part[] => [
    ...decoderParts(objective, row),
    { when: { objective }, keys: row.keys },
    ...maskParts(objective, row),
    ...byKind(row.kinds, { objective }),
    ...byChoice('mask', row.rasterMasks ?? {}, { objective, 'data.kind': 'rasters' }),
    ...(row.targets
      ? [
          { when: { objective }, keys: { target: kindKeys(objective) } },
          ...byChoice('target', row.targets, { objective }),
        ]
      : []),
  ]),
  { when: {}, keys: runKeys },
  ...Object.entries(adaptKeys).map(([kind, adapt]) => ({ when: { 'adapt.kind': kind }, keys: { adapt } })),
  ...Object.entries(optimizerKeys).map(([optimizer, optim]) => ({
    ...{ when: { 'optim.optimizer': optimizer }, keys: { optim } },
  })),
]

/** Ungrouped keys. */
export const rootKeys = {
  objective: z
    .enum(choosers.objective)
    .default('mae')
    .describe(
      'what is trained: a masked autoencoder (mae), one whose decoder attends to seen tokens alone (crossmae), mask tokens and one linear head on pixels (simmim), histograms of gradients (maskfeat) or codes of a tokenizer (beit; beitv2 with a second head on an early block), mask tokens on features of a teacher that follows the model (data2vec), a predictor of its features at whole blocks (ijepa), a tokenizer of what a frozen encoder sees (vqkd) or of pixels (vq-pixels)',
    ),
}

/** Unmet conditions of a part. */
export const missed = ({ when }: Part, chosen: Partial<Chosen>): Chooser[] =>
  (Object.keys(when) as Chooser[]).filter((key) => chosen[key] !== undefined && when[key] !== chosen[key])

export const takes = (objective: string, kind: string): boolean =>
  parts.some(({ when }) => when.objective === objective && when['data.kind'] === kind)

/** Cache: building a schema takes six times as long as parsing. */
const schemas = new Map<string, z.ZodObject>()

export function schemaOf(chosen: Chosen): z.ZodObject {
  const name = JSON.stringify(Object.keys(choosers).map((key) => chosen[key as Chooser]))
  const known = schemas.get(name)
  if (known) return known
  const groups: Record<string, z.ZodRawShape> = {}
  for (const part of parts)
    if (missed(part, chosen).length === 0)
      for (const [group, keys] of Object.entries(part.keys)) groups[group] = { ...groups[group], ...keys }
  const of = Object.entries(groups).map(([group, keys]) => [group, z.strictObject(keys).prefault({})])
  const made = z.strictObject({
    version: z.literal(VERSION).default(VERSION),
    ...rootKeys,
    ...Object.fromEntries(of),
  })
  schemas.set(name, made)
  return made
}
