/**
 * Pictures of the playground for docs/images, from the built page and an exported model:
 *   node dist/scripts/playground/pictures.js MODELS [OUT]
 * MODELS is a folder of `sherd export onnx --graphs autoencoder encoder --attention`.
 */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { BrowserContextOptions } from 'playwright-core'
import sharp, { type Sharp } from 'sharp'
import { packageRoot } from '../../src/package-root.ts'
import { findChromium, launchChromium } from './chromium.ts'
import { serveFolders } from './serve-folders.ts'

interface Shot {
  readonly name: string
  readonly hash: string
  readonly sample: string
  readonly options: BrowserContextOptions & { viewport: { width: number; height: number } }
  /** What is at the top of each picture; several come side by side. */
  readonly tops: readonly string[]
}

const phone = { deviceScaleFactor: 1.5, hasTouch: true, isMobile: true, colorScheme: 'dark' } as const

const shots: readonly Shot[] = [
  {
    ...{ name: 'playground', hash: 'design=random&ratio=75&seed=0', sample: 'mountains', tops: ['body'] },
    options: { viewport: { width: 1280, height: 2390 }, colorScheme: 'light' },
  },
  {
    ...{ name: 'playground-phone', hash: 'design=block&ratio=30&seed=1', sample: 'spheres' },
    tops: ['body', '#plate-rebuilt', '#plate-like'],
    options: { viewport: { width: 390, height: 844 }, ...phone },
  },
]

/** Pictures of one height side by side, on nothing. */
async function sideBySide(parts: readonly Buffer[]): Promise<Sharp> {
  const GAP = 24
  const sizes = await Promise.all(parts.map((part) => sharp(part).metadata()))
  const width = sizes.reduce((sum, part) => sum + part.width + GAP, -GAP)
  const blank = { width, height: sizes[0]!.height, channels: 4, background: '#0000' } as const
  return sharp({ create: blank }).composite(
    parts.map((input, i) => ({ input, top: 0, left: i * (sizes[0]!.width + GAP) })),
  )
}

async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true })
  const [models, out = join(packageRoot(), 'docs/images')] = positionals
  const executable = findChromium()
  if (!models || !executable) {
    console.error(
      models
        ? 'No chromium, chromium-browser or google-chrome is on the PATH: install Chromium.'
        : 'Which models? node dist/scripts/playground/pictures.js MODELS [OUT]',
    )
    process.exitCode = 2
    return
  }
  mkdirSync(out, { recursive: true })
  const server = await serveFolders({
    '/': join(packageRoot(), 'dist/playground'),
    '/models/': resolve(models),
  })
  const browser = await launchChromium(executable)
  for (const { name, hash, sample, options, tops } of shots) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    await page.goto(`${server.url}?model=models/#${hash}`)
    await page.locator('#numbers dt').first().waitFor()
    await page.locator(`#samples [data-scene=${sample}]`).click()
    await page.locator('#picture-name', { hasText: sample }).waitFor()
    await page.locator('#numbers dt').first().waitFor()
    await page.locator('#attention[aria-label^="Attention of the class token"]').waitFor()
    await page.locator('#other-sample').selectOption(sample) // another one of its class
    await page.locator('#other-caption', { hasText: sample }).waitFor()
    await page.locator('#features-caption', { hasText: 'of both' }).waitFor()
    await page.mouse.move(0, 0)
    const parts: Buffer[] = []
    for (const top of tops) {
      await page.evaluate(
        `window.scrollTo(0, document.querySelector('${top}').getBoundingClientRect().top + scrollY - 12)`,
      )
      parts.push(await page.screenshot())
    }
    const file = join(out, `${name}.png`)
    const whole = await sideBySide(parts)
    const { size } = await whole.png({ palette: true, effort: 10, quality: 90 }).toFile(file)
    console.log(`${file}: ${Math.round(size / 1000)} kB`)
    await context.close()
  }
  await browser.close()
  server.close()
}

await main()
