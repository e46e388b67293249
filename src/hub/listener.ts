/** Hears what is downloaded, wherever a model is taken; the command line shows it, and stops it. */

export interface HubListener {
  note(line: string): void
  warn(line: string): void
  /** Bytes of what is downloaded now. */
  progress(what: string, done: number, of: number): void
  /** Aborts downloads; what has come is kept. */
  signal?(): AbortSignal | undefined
}

let listener: HubListener = { note() {}, warn() {}, progress() {} }

export function listenToHub(next: HubListener): void {
  listener = next
}

export const hubListener = (): HubListener => listener
