/** Shows the events of a run until it ends. */
import type { EndEvent, RunEvent } from '../../run/events.ts'
import { hearSecondSignal, stopStatus } from '../signals.ts'
import type { Reporter } from './reporter.ts'

/** Returns the last event; sets the exit status where the run was interrupted. */
export async function follow(
  events: AsyncIterable<RunEvent>,
  reporter: Reporter,
): Promise<EndEvent | undefined> {
  let end: EndEvent | undefined
  try {
    for await (const event of events) {
      if (event.kind === 'start') await hearSecondSignal() // LibTorch is loaded, and about to block this thread for whole steps
      reporter.event(event)
      if (event.kind === 'end') end = event
    }
  } finally {
    reporter.close()
  }
  if (end?.reason === 'interrupted') process.exitCode = stopStatus()
  return end
}
