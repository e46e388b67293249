/** Tags of short integers in the first directory of a TIFF file, which libvips does not expose. */

export const tiffTags = { bitsPerSample: 258, extraSamples: 338 } as const

const SHORT = 3
const MOST = 4096

/** The values of a tag; empty if it is absent, or the file damaged, which its decoder reports. */
export function tiffNumbers(bytes: Uint8Array, tag: number): readonly number[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const isLittle = file[0] === 0x49
  const whole = (at: number, size: 2 | 4) =>
    isLittle ? file.readUIntLE(at, size) : file.readUIntBE(at, size)
  const long = (at: number) => Number(isLittle ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at))
  try {
    const isBig = whole(2, 2) === 43
    const directory = isBig ? long(8) : whole(4, 4)
    const count = Math.min(MOST, isBig ? long(directory) : whole(directory, 2))
    const [first, entry, room] = isBig ? [directory + 8, 20, 8] : [directory + 2, 12, 4]
    for (let at = first; at < first + count * entry; at += entry) {
      if (whole(at, 2) !== tag || whole(at + 2, 2) !== SHORT) continue
      const values = Math.min(MOST, isBig ? long(at + 4) : whole(at + 4, 4))
      const own = at + entry - room
      const place = 2 * values <= room ? own : isBig ? long(own) : whole(own, 4)
      return Array.from({ length: values }, (_, k) => whole(place + 2 * k, 2))
    }
  } catch {
    return []
  }
  return []
}

const ALPHA = [1, 2]

/**
 * Whether a band beyond the colours is alpha. libvips takes a fourth band for alpha whatever it is; ExtraSamples says it, and what is
 * neither 1 nor 2 is something else, near infrared for one.
 */
export const hasTiffAlpha = (file: Uint8Array): boolean =>
  tiffNumbers(file, tiffTags.extraSamples).some((kind) => ALPHA.includes(kind))
