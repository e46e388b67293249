/** What is seen of data while it is opened and measured, for those who look on: the command line prints it as warnings. */

export type NoteListener = (note: string) => void

let listener: NoteListener = () => {}

/** Replaces the listener. */
export function listenToNotes(next: NoteListener): void {
  listener = next
}

export const tellNote: NoteListener = (note) => listener(note)

/** Tells the notes of a source, and gives it back. */
export function withNotesTold<T extends { readonly notes?: readonly string[] }>(source: T): T {
  for (const note of source.notes ?? []) tellNote(note)
  return source
}
