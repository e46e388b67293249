/** SVG to pixels and pixels to PNG, by sharp. */
import { sharp } from '../files/sharp.ts'
import { fontFamily, useFonts } from './fonts.ts'
import type { Canvas } from './tile.ts'

/** An SVG document of `width` × `height` pixels on white. */
export function svgDocument(width: number, height: number, elements: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${fontFamily}">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...elements,
    '</svg>\n',
  ].join('\n')
}

/** Renders at one pixel per unit. */
export async function drawSvg(svg: string): Promise<Canvas> {
  useFonts()
  const { data, info } = await sharp(Buffer.from(svg), { density: 72 })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, pixels: data }
}

export function encodePng({ width, height, pixels }: Canvas): Promise<Buffer> {
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer()
}
