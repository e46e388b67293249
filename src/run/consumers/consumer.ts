/** What a run does beside its steps. Each consumer hears every event of the loop; a new one is a file here and a row in `all.ts`. */
import { messageOf } from '../../errors.ts'
import type { EndEvent, LoopEvent, RunEvent } from '../events.ts'
import type { Run } from '../open.ts'

/** What a consumer has to say, in order. What it says is in the run's folder already. */
export type Said = readonly RunEvent[] | Promise<readonly RunEvent[]>

/** What of the end of a run only its consumers know. */
export type Summary = Pick<EndEvent, 'loss' | 'checkpoint' | 'picture' | 'lossCurve' | 'skipped'>

export interface Consumer {
  on?(event: LoopEvent): Said
  /** The loop has ended, because all steps are taken or because it was stopped. */
  end?(): Said
  /** The loop or a consumer has thrown. Must not throw: it would hide that. */
  failed?(error: unknown): void
  /** Asked after every consumer has ended. */
  summary?(): Partial<Summary>
}

export const isComplete = ({ state, recipe }: Run): boolean => state.step === recipe.totalSteps

/** What `body` says, or a warning where it fails: the run continues without it. */
export async function beside(run: Run, what: string, body: () => Promise<RunEvent>): Promise<RunEvent> {
  try {
    return await body()
  } catch (error) {
    return run.warning(`${what} failed: ${messageOf(error)}`)
  }
}
