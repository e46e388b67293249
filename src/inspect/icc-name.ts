/** The name of a colour profile: its tag `desc`, as text (ICC version 2) or in several languages (version 4). */

/** Null where there is none that can be read. */
export function iccName(profile: Uint8Array): string | null {
  const bytes = Buffer.from(profile.buffer, profile.byteOffset, profile.length)
  try {
    const tags = Math.min(100, bytes.readUInt32BE(128))
    for (let at = 132; at < 132 + 12 * tags; at += 12) {
      if (bytes.toString('latin1', at, at + 4) !== 'desc') continue
      const from = bytes.readUInt32BE(at + 4)
      const type = bytes.toString('latin1', from, from + 4)
      if (type === 'desc')
        return named(
          bytes.toString('latin1', from + 12, from + 12 + textLength(bytes.readUInt32BE(from + 8))),
        )
      if (type !== 'mluc') return null
      const [length, start] = [bytes.readUInt32BE(from + 20), from + bytes.readUInt32BE(from + 24)]
      const text = Buffer.from(bytes.subarray(start, start + (textLength(length) & ~1)))
      return named(text.swap16().toString('utf16le'))
    }
  } catch {
    return null // cut short
  }
  return null
}

const MOST = 200
const textLength = (length: number) => Math.min(MOST, length)
const named = (text: string): string | null => text.replace(/\0.*$/s, '').trim() || null
