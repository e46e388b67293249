/** The interface of consumers, which receive every event of the loop. A new one is a file here and a row in `all.ts`. */
import { messageOf } from '../../errors.ts'
import type { EndEvent, LoopEvent, RunEvent } from '../events.ts'
import type { Run } from '../run.ts'

/** Events of a consumer, in order, which it has already written to the run's folder. */
export type Said = readonly RunEvent[] | Promise<readonly RunEvent[]>

/** The consumers' fields of the end event. */
export type Summary = Pick<
  EndEvent,
  'loss' | 'firstLoss' | 'imagesPerSecond' | 'checkpoint' | 'picture' | 'lossCurve' | 'skipped'
>

export interface Consumer {
  /** Called before the first step of this process. */
  begin?(): Said
  on?(event: LoopEvent): Said
  /** Called when the loop has ended: all steps taken, or interrupted. */
  end?(): Said
  /** Called if the loop or a consumer has thrown. Must not throw, which would hide the error. */
  failed?(error: unknown): void
  /** Called after every consumer has ended. */
  summary?(): Partial<Summary>
}

export const isComplete = ({ state, recipe }: Run): boolean => state.step === recipe.totalSteps

/** The event of `body`, or a warning if it fails: the run continues. */
export async function beside(run: Run, what: string, body: () => Promise<RunEvent>): Promise<RunEvent> {
  try {
    return await body()
  } catch (error) {
    return run.warning(`${what} failed: ${messageOf(error)}`)
  }
}
