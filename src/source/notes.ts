/** Notes about data while it is opened and measured; the command line prints them as warnings. */

export type NoteListener = (note: string) => void

let listener: NoteListener = () => {}

export function listenToNotes(next: NoteListener): void {
  listener = next
}

export const tellNote: NoteListener = (note) => listener(note)

/** Emits the notes of a source and returns it. */
export function withNotesTold<T extends { readonly notes?: readonly string[] }>(source: T): T {
  for (const note of source.notes ?? []) tellNote(note)
  return source
}
