/**
 * Images that a decoder makes something of although their data is damaged: grey areas, noise. libjpeg says so with warnings. Not all that
 * it warns of is damage: cameras leave bytes before a marker, programs write odd headers, and such images are whole.
 */

/** What becomes of damaged images: they are left out, taken as they are decoded, or the first one ends the work. */
export const corruptions = ['skip', 'keep', 'stop'] as const
export type Corruption = (typeof corruptions)[number]

const BEGINNING = 'its data is damaged'

/** The reason why such an image is left out. `said`: the decoder's words. */
export const damageReason = (said: string): string => `${BEGINNING} (${said})`
export const isDamage = (reason: string): boolean => reason.startsWith(BEGINNING)

/** What libvips hands on of libjpeg's warnings: of damage, and of what is none. */
const damages =
  /Corrupt JPEG data: (?!\d+ extraneous bytes)|Inconsistent progression sequence|^VipsJpeg: Premature end of JPEG/
const notes =
  /extraneous bytes before marker|color transform code|JFIF revision number|Invalid SOS parameters for sequential/

/** Whether libvips gave up at a warning of damage, at one of something else, or at neither. */
export const warningOf = (said: string): 'damage' | 'note' | null =>
  damages.test(said) ? 'damage' : notes.test(said) ? 'note' : null
