/** Checkpoints: those that are due, one whenever it is wanted, the last, and what can be saved of a run that fails. */
import { saveCheckpoint } from '../../checkpoint/checkpoint.ts'
import type { Listed } from '../../checkpoint/retention.ts'
import { weightsMetadata } from '../../checkpoint/weights-metadata.ts'
import { updatesTaken } from '../../optim/optimizer.ts'
import type { RunEvent } from '../events.ts'
import type { Run } from '../run.ts'
import { type Consumer, isComplete } from './consumer.ts'

/** `isWanted` is asked after every step, `isEarly` whether it is the step of the early look. */
export function saveCheckpoints(
  run: Run,
  isWanted: () => boolean = () => false,
  isEarly: (step: number) => boolean = () => false,
): Consumer {
  const { paths, config, facts, state, note, span } = run
  const about = weightsMetadata({ config, statistics: facts.statistics }, run.objective.encoder.prefix)
  let saved: Listed | null = run.latest
  let updates = updatesTaken(state.optimizer)
  const save = (): RunEvent =>
    span('checkpoint', () => {
      const { step } = state
      saved = { step, path: saveCheckpoint(paths.checkpoints, state, config.checkpoint, about) }
      return { kind: 'checkpoint', ...saved }
    })
  const isSaved = () => saved?.step === state.step
  return {
    on(event) {
      if (event.kind === 'trouble') return []
      updates = updatesTaken(state.optimizer)
      if (event.kind === 'rollback') {
        saved = event.checkpoint
        return []
      }
      const { step } = event
      const wanted = isWanted()
      if (wanted) note('checkpoint wanted', { step })
      const isFirst = isEarly(step) && saved === null
      return wanted || isFirst || step % config.checkpoint.everySteps === 0 ? [save()] : []
    },
    end: () => (!isSaved() && (state.inARow === 0 || isComplete(run)) ? [save()] : []),
    failed() {
      // Broken data or a dead worker do not spoil the weights. A step that was not finite, or an update that failed half way, does.
      const isWhole = state.inARow === 0 && updatesTaken(state.optimizer) === updates
      if (!isWhole || isSaved() || state.step === 0) return
      try {
        save()
      } catch {
        // a full disk may be what the run failed by
      }
    },
    summary: () => ({ checkpoint: saved?.path ?? null }),
  }
}
