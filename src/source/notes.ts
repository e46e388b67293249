/** What is seen of data while it is opened and measured, for whoever looks on: the command line prints it as warnings. */

export type NoteListener = (note: string) => void

let listener: NoteListener = () => {}

/** Replaces who is told. */
export function listenToNotes(told: NoteListener): void {
  listener = told
}

export const tellNote: NoteListener = (note) => listener(note)

/** Tells the notes of a source, and gives it back. */
export function withNotesTold<T extends { readonly notes?: readonly string[] }>(source: T): T {
  for (const note of source.notes ?? []) tellNote(note)
  return source
}
