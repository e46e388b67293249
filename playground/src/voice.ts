/** What the page says: errors that stay until they are closed, and what has happened, for those who listen. */
import { messageOf } from '../../src/errors.ts'
import { page } from './page.ts'

/** Shows an error, and reads it out. */
export function complain(error: unknown): void {
  page.alertText.textContent = messageOf(error)
  page.alert.hidden = false
}
page.alertClose.addEventListener('click', () => {
  page.alert.hidden = true
})

let speaking: ReturnType<typeof setTimeout> | undefined

/** Said at once. */
export function say(text: string): void {
  clearTimeout(speaking)
  page.status.textContent = text
}

/** Said when nothing else happens for a moment, so that a moving slider is not read out at every step. */
export function sayLater(text: string): void {
  clearTimeout(speaking)
  speaking = setTimeout(() => say(text), 600)
}
