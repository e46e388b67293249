/** Events before the first step: start, notes about the data, initialisation, damaged checkpoints. */
import { resolve } from 'node:path'
import { effectiveBatch } from '../config/resolve.ts'
import { parameterCount } from '../model/parameters.ts'
import { learnedPrefix } from '../objective/averages.ts'
import { engineBuild } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import { findDonor } from './donor.ts'
import type { RunEvent } from './events.ts'
import { inherit } from './inherit.ts'
import type { Run } from './run.ts'

export async function* openingEvents(run: Run): AsyncGenerator<RunEvent> {
  const { config, facts, source, objective, recipe, machine, state, changes, damaged, note, warning } = run
  const firstStep = state.step
  note(run.isResumed ? 'resumed' : 'began', { step: firstStep, process: process.pid, changes })
  yield {
    kind: 'start',
    run: resolve(run.out),
    preset: facts.preset,
    data: source.dir,
    images: source.files.length,
    classes: source.classes.length,
    parameters: parameterCount(objective.rows),
    effectiveBatch: effectiveBatch(config),
    totalSteps: recipe.totalSteps,
    firstStep,
    peakLearningRate: recipe.peak,
    metrics: run.metrics,
    libtorch: engineBuild().version,
    machine,
    changes,
  }
  if (run.fitted) {
    const { cost, ...fitted } = run.fitted
    const event = {
      ...{ ...fitted, stepSeconds: cost.step, checkpointSeconds: cost.checkpoint },
      ...{ pictureSeconds: cost.picture, probeSeconds: cost.probe },
    }
    note('fitted', event)
    yield { kind: 'fitted', ...event }
  }
  for (const each of run.notes) yield warning(each)
  const { init } = facts
  if (init !== undefined && firstStep === 0) {
    const donor = await (await findDonor(init, config)).open()
    const { inheritance } = scope(() => inherit(donor, objective.rows, config, learnedPrefix(objective)))
    note('inherited', { ...inheritance })
    yield { kind: 'inherited', ...inheritance }
  }
  for (const { path, reason } of damaged)
    yield warning(
      `A damaged checkpoint was set aside as ${path}: ${reason}. Going on from step ${firstStep}.`,
    )
}
