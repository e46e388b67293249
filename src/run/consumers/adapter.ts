/** `adapter/`: what a run has learned of an encoder that it adapts, as PEFT keeps it, to be used with those weights. Written when it ends. */
import { join } from 'node:path'
import { backboneOf } from '../../config/resolve.ts'
import { messageOf } from '../../errors.ts'
import { isAdapter } from '../../model/adapt.ts'
import { backboneRows } from '../../model/backbone.ts'
import { isLearned, under } from '../../model/parameters.ts'
import { learnedPrefix } from '../../objective/averages.ts'
import { toFloats } from '../../tensor/tensor.ts'
import { adapterFiles } from '../../weights/adapter-folder.ts'
import type { FoundWeights } from '../../weights/found-weights.ts'
import { findWeights } from '../../weights/open-encoder.ts'
import { saveAdapter } from '../../weights/save-adapter.ts'
import { findDonor } from '../donor.ts'
import type { Run } from '../run.ts'
import type { Consumer } from './consumer.ts'

/** The first parameter that is not as the given encoder has it, such as an embedding that was inflated; null if there is none. */
async function changedIn({ objective, model }: Run, found: FoundWeights): Promise<string | null> {
  const prefix = learnedPrefix(objective)
  const fixed = objective.rows
    .filter((row) => !isLearned(row) && row.name.startsWith(prefix))
    .map(({ name }) => name.slice(prefix.length))
  const values = await found.load((name) => fixed.includes(name))
  const own = under(model.parameters, objective.encoder.prefix)
  const isSame = (name: string) => {
    const [given, now] = [values.get(name), own.get(name)!]
    if (given?.shape.join() !== now.shape.join()) return false
    const numbers = toFloats(now)
    return given.data.length === numbers.length && numbers.every((value, i) => value === given.data[i])
  }
  return fixed.find((name) => !isSame(name)) ?? null
}

export function saveAdapters(run: Run): Consumer {
  const { config, facts, paths, objective, model } = run
  return {
    async end() {
      try {
        const { found: foreign } = await findDonor(facts.init!, config)
        const found = foreign ?? (await findWeights({ model: facts.init! }))
        const changed = await changedIn(run, found)
        if (changed !== null)
          return [run.warning(`No adapter is written: ${changed} is not as ${facts.init} has it.`)]
        const encoder = new Set(backboneRows(backboneOf(config)).map(({ name }) => name))
        const learns = new Set(objective.rows.filter(isLearned).map(({ name }) => name))
        // Of the kept encoder, which may be an average of what learns.
        const prefix = learnedPrefix(objective)
        const learned = [...under(model.parameters, objective.encoder.prefix)].filter(
          ([name]) => learns.has(prefix + name) && (isAdapter(name) || encoder.has(name)),
        )
        const origin = { path: facts.init!, step: null, precision: 'fp32' }
        const about = { adapt: config.adapt, learned: new Map(learned) }
        saveAdapter(join(paths.adapter, adapterFiles.weights), { origin, found }, about)
        return []
      } catch (error) {
        return [run.warning(`The adapter failed: ${messageOf(error)}`)]
      }
    },
  }
}
