/** Adapters: what they change, of which base, and how small they are. Of the hub no base is downloaded to describe one. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { quoted } from '../files/shell.ts'
import { isHubName } from '../hub/name.ts'
import { adapterFiles, adapterFolder, baseOf, readAdapter } from '../weights/adapter-folder.ts'
import { findWeights } from '../weights/open-encoder.ts'
import { classRows } from './classes.ts'
import { bytesOf, countOf, type Description, describe, grouped, listed, rowsOf } from './inspected.ts'

/** Ends of the names of modules, without the numbers of blocks: `attn.qkv`. */
const endsOf = (modules: Iterable<string>): string[] => [
  ...new Set([...modules].map((module) => module.split('.').slice(-2).join('.'))),
]

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

export async function describeAdapter(path: string): Promise<Description> {
  const dir = adapterFolder(path)!
  const adapter = readAdapter(dir)
  const { pairs, others, facts, base, alpha } = adapter
  const isLowRank = pairs.size > 0
  const targets = endsOf(pairs.keys())
  const ranks = [...new Set([...pairs.values()].map(({ a }) => a.shape[0]!))]
  const arrays = [...[...pairs.values()].flatMap(({ a, b }) => [a, b]), ...others.values()]
  const trained = arrays.reduce((sum, { shape }) => sum + product(shape), 0)
  const bytes = Object.values(adapterFiles)
    .map((name) => join(dir, name))
    .filter((file) => existsSync(file))
    .reduce((sum, file) => sum + statSync(file).size, 0)
  const classes = facts?.classifier?.classes ?? null
  let reason: string | null = null
  let at: string | null = null
  try {
    at = baseOf(adapter)
    if (!isHubName(at)) await findWeights({ model: dir })
  } catch (error) {
    reason = messageOf(error)
  }
  return describe(isLowRank ? 'low-rank adapter (LoRA)' : 'adapter of biases (BitFit)', {
    reason,
    rows: rowsOf(
      ['of', base ?? 'a model that it does not name'],
      isLowRank && ['rank', `${ranks.join(', ')}, alpha ${alpha ?? 'as the rank'}`],
      isLowRank && ['targets', `${listed(targets, 16)}: ${countOf(pairs.size, 'linear map')}`],
      ['learned', `${grouped(trained)} numbers in ${countOf(arrays.length, 'array')}, ${bytesOf(bytes)}`],
      facts && ['base weights', `SHA-256 ${facts.base.slice(0, 12)}…`],
      ...(classes ? classRows(classes, null) : []),
    ),
    facts: {
      ...{ peftType: isLowRank ? 'LORA' : 'BITFIT', base, rank: ranks[0] ?? null, alpha, targets },
      ...{ maps: pairs.size, trained, bytes, baseSha256: facts?.base ?? null, classes },
    },
    notes:
      at !== null && isHubName(at)
        ? [
            `Its base is ${at} of the Hugging Face hub: what is not in the cache is downloaded when the adapter is used.`,
          ]
        : [],
    next: classes
      ? [`sherd classify DIR --model ${quoted(dir)} --out classes.csv`]
      : [`sherd index DIR --model ${quoted(dir)} --out index`],
  })
}
