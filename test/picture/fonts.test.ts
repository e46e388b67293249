import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { useFonts } from '../../src/picture/fonts.ts'
import { drawSvg, svgDocument } from '../../src/picture/render.ts'
import { textElement } from '../../src/picture/text.ts'

const bare = mkdtempSync(join(tmpdir(), 'sherd-test-'))
afterAll(() => rmSync(bare, { recursive: true, force: true }))

const svg = svgDocument(200, 40, [
  textElement({ text: 'Step 1,200 – 75 %', x: 10, y: 25, size: 15, fill: '#000' }),
])
const hashOf = (pixels: Uint8Array) => createHash('sha256').update(pixels).digest('hex')

/** Draws the text in a process of its own: fontconfig reads its settings once. Warnings fail the test. */
function drawnWith(fontconfigFile: string): string {
  const program = `
    import sharp from 'sharp'
    import { createHash } from 'node:crypto'
    const drawn = sharp(Buffer.from(process.env.SVG)).flatten({ background: '#fff' }).toColourspace('srgb').raw()
    process.stdout.write(createHash('sha256').update(await drawn.toBuffer()).digest('hex'))`
  return execFileSync(process.execPath, ['--input-type=module', '-e', `${program}`], {
    env: { SVG: svg, FONTCONFIG_FILE: fontconfigFile },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

describe('useFonts', () => {
  it('makes the text, and nothing but our file does', async () => {
    useFonts()
    const file = process.env.FONTCONFIG_FILE!
    const { pixels } = await drawSvg(svg)
    expect(pixels.some((byte) => byte < 64)).toBe(true)
    expect(drawnWith(file)).toBe(hashOf(pixels))

    const empty = join(bare, 'empty.conf')
    writeFileSync(empty, `<fontconfig><dir>${bare}</dir><cachedir>${bare}</cachedir></fontconfig>`)
    expect(drawnWith(empty)).not.toBe(hashOf(pixels))
  })

  it('names one folder of fonts and a cache beside the file', () => {
    useFonts()
    const file = process.env.FONTCONFIG_FILE!
    const conf = readFileSync(file, 'utf8')
    expect(conf.match(/<dir>/g)).toHaveLength(1)
    expect(conf).toMatch(/<dir>.*dejavu-fonts-ttf.ttf<\/dir>/)
    expect(conf).toContain(`<cachedir>${join(dirname(file), 'cache')}</cachedir>`)
    expect(statSync(dirname(file)).mode & 0o022).toBe(0)
  })

  it('leaves the setting of the user alone', () => {
    const ours = process.env.FONTCONFIG_FILE!
    process.env.FONTCONFIG_FILE = '/somewhere/else.conf'
    useFonts()
    expect(process.env.FONTCONFIG_FILE).toBe('/somewhere/else.conf')
    process.env.FONTCONFIG_FILE = ours
  })
})
