/** `journal.jsonl`, and the events of numerical trouble. */
import { messageOf } from '../../errors.ts'
import type { Run } from '../run.ts'
import type { Consumer } from './consumer.ts'

export const keepJournal = ({ note, state }: Run): Consumer => ({
  on(event) {
    if (event.kind === 'trouble') {
      const { kind, step, message, inARow, skippedSteps, loss, gradientNorm, first } = event
      note('skipped step', { step, loss: String(loss), gradientNorm: String(gradientNorm), first })
      return [{ kind, step, message, inARow, skippedSteps }]
    }
    if (event.kind !== 'rollback') return []
    const { checkpoint: _, ...back } = event
    note('rolled back', { from: back.from, to: back.to, rollbacks: back.rollbacks })
    return [back]
  },
  failed: (error) => note('failed', { step: state.step, message: messageOf(error) }),
})
