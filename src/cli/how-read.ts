/** What is said of a model that was opened: how the files of another program were read, and what was passed over. */
import { note, warn } from './output.ts'

interface Opened {
  readonly notes?: readonly string[] | undefined
  readonly warnings: readonly string[]
}

export function sayHowRead({ notes = [], warnings }: Opened): void {
  for (const each of notes) note(`note: ${each}`)
  for (const each of warnings) warn(each)
}
