/**
 * Damaged images that a decoder can still decode, with grey areas or noise. libjpeg reports damage as warnings, but also harmless things:
 * bytes before a marker, odd headers.
 */

/** Treatment of damaged images: skip them, keep what was decoded, or stop at the first. */
export const corruptions = ['skip', 'keep', 'stop'] as const
export type Corruption = (typeof corruptions)[number]

const BEGINNING = 'its data is damaged'

/** The reason why such an image is left out. `said`: the decoder's words. */
export const damageReason = (said: string): string => `${BEGINNING} (${said})`
export const isDamage = (reason: string): boolean => reason.startsWith(BEGINNING)

/** libjpeg's warnings in libvips' messages: of damage, and harmless ones. */
const damages =
  /Corrupt JPEG data: (?!\d+ extraneous bytes)|Inconsistent progression sequence|^VipsJpeg: Premature end of JPEG/
const notes =
  /extraneous bytes before marker|color transform code|JFIF revision number|Invalid SOS parameters for sequential/

/** Whether libvips gave up at a warning of damage, at one of something else, or at neither. */
export const warningOf = (said: string): 'damage' | 'note' | null =>
  damages.test(said) ? 'damage' : notes.test(said) ? 'note' : null
