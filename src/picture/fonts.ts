/**
 * The fonts of pictures. sharp draws text by its bundled fontconfig, and a minimal server has neither fonts nor /etc/fonts; so
 * fontconfig gets a file that lists only the package `dejavu-fonts-ttf`. Pictures then look the same on every machine.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { messageOf, SherdError } from '../errors.ts'
import { escapeXml } from '../files/xml.ts'

/** Drawn with the first family; the others are for SVG files in a browser. */
export const fontFamily = "'DejaVu Sans', Verdana, sans-serif"

/**
 * Points fontconfig at the fonts, unless the user has set `FONTCONFIG_FILE`. fontconfig reads its file at the first text
 * of a process, so every function that draws or measures text calls this first. It has no effect in a worker thread,
 * whose `process.env` is a copy. Throws `RUN` when the temporary folder cannot be written.
 */
export function useFonts(): void {
  process.env.FONTCONFIG_FILE ||= writeFontsConf()
}

/** Returns the path of a fonts.conf with only the DejaVu fonts. */
function writeFontsConf(): string {
  const fonts = join(dirname(createRequire(import.meta.url).resolve('dejavu-fonts-ttf/package.json')), 'ttf')
  try {
    const dir = ownFolder()
    const conf = [
      '<?xml version="1.0"?>',
      '<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">',
      '<fontconfig>',
      `  <dir>${escapeXml(fonts)}</dir>`,
      `  <cachedir>${escapeXml(join(dir, 'cache'))}</cachedir>`,
      '</fontconfig>\n',
    ].join('\n')
    // Named by its content, so that installations do not overwrite each other's.
    const file = join(dir, `fonts-${createHash('sha256').update(conf).digest('hex').slice(0, 16)}.conf`)
    const draft = `${file}.${process.pid}`
    writeFileSync(draft, conf)
    renameSync(draft, file)
    return file
  } catch (error) {
    throw new SherdError(
      'RUN',
      `Cannot write the font settings for pictures in ${tmpdir()}: ${messageOf(error)}. Set TMPDIR to a folder that can be written.`,
      { cause: error },
    )
  }
}

/** A folder that only this user can write; a new one if its name is taken by another user. */
function ownFolder(): string {
  // Not os.userInfo(), which fails for users without a passwd entry, as in containers.
  const uid = process.getuid?.()
  const dir = join(tmpdir(), `sherd-fonts-${uid ?? 'user'}`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const found = lstatSync(dir)
  const safe = found.isDirectory() && (uid === undefined || (found.uid === uid && (found.mode & 0o022) === 0))
  return safe ? dir : mkdtempSync(join(tmpdir(), 'sherd-fonts-'))
}
