// The built page in a real Chromium, with models that were exported just now, against LibTorch.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium, launchChromium, patience } from '../../scripts/playground/chromium.ts'
import { type FolderServer, serveFolders } from '../../scripts/playground/serve-folders.ts'
import { backboneOf, pixelTargetOf } from '../../src/config/resolve.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { exportOnnx, type OpenedModel } from '../../src/export/export-onnx.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { lookAt } from '../../src/look/look.ts'
import { weightsOf } from '../../src/model/parameters.ts'
import { totalOf } from '../../src/objective/losses.ts'
import { packageRoot } from '../../src/package-root.ts'
import { reconstruct } from '../../src/picture/reconstruction.ts'
import { centerCrop } from '../../src/prepare/crop.ts'
import { resizeBicubic } from '../../src/prepare/decode/resize.ts'
import { normalizePixels } from '../../src/prepare/normalize.ts'
import { viewOf } from '../../src/prepare/view.ts'
import { paintScene } from '../../src/sample-data/scenes.ts'
import { type Server, serve } from '../../src/serve/serve.ts'
import type { StatisticsUsed } from '../../src/target/patch-statistics.ts'
import { scope } from '../../src/tensor/scope.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { planFromMask } from '../../src/token/mask.ts'
import { maskOrder } from '../../src/token/mask-order.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'
import { hasLayouts, layouts } from '../weights/pipelines.ts'

const built = join(packageRoot(), 'dist/playground')
const executable = findChromium()
if (!executable)
  console.warn(
    'test/playground/chromium.test.ts is skipped: no chromium, chromium-browser or google-chrome on the PATH',
  )

/** Three rows of five patches. */
const [H, W] = [24, 40] as const
const TOKENS = 15
const model: ConfigInput['model'] = { imageSize: [H, W], patchSize: 8, depth: 2 }

let browser: Browser
let server: FolderServer
let served: Server
let models: string
let normal: OpenedModel
let raw: OpenedModel

async function exportTo(name: string, config: ConfigInput, graphs: readonly ('encoder' | 'autoencoder')[]) {
  const opened = await openModel({ model: 'random', config: tinyConfig(config), device: 'cpu' }, graphs)
  const out = join(models, name)
  const options = { model: opened, out, graphs, attention: true, precisions: ['fp32'] as const }
  for await (const _ of exportOnnx(options)) {
    // written one by one
  }
  return opened
}

/** A picture of 70 × 50 pixels, and what a model of 40 × 24 takes of it. */
const size = { width: 70, height: 50 }
const photo = paintScene({ scene: 'spheres', seed: 2, index: 5, size: 70 }).subarray(0, 70 * 50 * 3)
const target = { width: W, height: H }
const taken = resizeBicubic({ pixels: photo, ...size }, centerCrop(size, target), target)
let png: Buffer

beforeAll(async () => {
  if (!executable) return
  if (!existsSync(join(built, 'index.html')))
    throw new Error(`${built} is not there: "npm run setup" builds it.`)
  models = await workFolder()
  normal = await exportTo('normal', { model }, ['autoencoder', 'encoder'])
  raw = await exportTo('raw', { model, target: { normalize: false } }, ['autoencoder'])
  mkdirSync(join(models, 'bad'))
  writeFileSync(join(models, 'bad/autoencoder.onnx'), 'this is a text')
  png = await sharp(photo, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer()
  server = await serveFolders({ '/': built, '/models/': models })
  served = await serve({ model: join(models, 'normal'), port: 0, threads: 1 })
  // Compiling WebAssembly well takes longer than running these models.
  browser = await launchChromium(executable, ['--js-flags=--liftoff-only'])
})

afterAll(async () => {
  await browser?.close()
  server?.close()
  await served?.stop()
})

/** Notes what the worker says, which the page itself does not show, and all that is read out. */
const eavesdrop = `
  window.heard = []
  window.Worker = class extends Worker {
    constructor(...given) {
      super(...given)
      this.addEventListener('message', ({ data }) => window.heard.push(data))
    }
  }
  window.said = []
  addEventListener('DOMContentLoaded', () => {
    const status = document.getElementById('status')
    new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true })
  })`

interface Visit {
  readonly page: Page
  /** Errors of the console, and requests to anybody but the server. */
  readonly trouble: readonly string[]
}

async function visit(address: string, options: BrowserContextOptions = {}, url = server.url): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  context.setDefaultTimeout(patience)
  const page = await context.newPage()
  const trouble: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) trouble.push(message.text())
  })
  page.on('pageerror', (error) => trouble.push(String(error)))
  page.on('request', (request) => {
    if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) trouble.push(request.url())
  })
  await page.addInitScript(eavesdrop)
  await page.goto(url + address)
  return { page, trouble }
}

const plain = (text: string) => text.replaceAll('\u00a0', ' ')

/** What the page says in the element with this id. */
async function textOf(page: Page, id: string): Promise<string> {
  await drawn(page)
  return plain(await page.locator(`#${id}`).innerText())
}
async function labelOf(page: Page, id: string): Promise<string> {
  await drawn(page)
  return plain((await page.locator(`#${id}`).getAttribute('aria-label')) ?? '')
}

/** Waits until what has happened is drawn. */
const drawn = (page: Page) =>
  page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))')

/** The numbers below the reconstruction by their names. */
async function numbersOf(page: Page): Promise<Record<string, string>> {
  await drawn(page)
  const pairs = await page.locator('#numbers > div').all()
  const texts = await Promise.all(pairs.map((pair) => pair.locator('dt, dd').allInnerTexts()))
  return Object.fromEntries(texts.map(([name, value]) => [name!, value!]))
}

/** Waits until the page has answered everything that was asked before. */
async function settle(page: Page, seen: string): Promise<void> {
  await page.locator(`#masked[aria-label*="${seen}"]`).waitFor()
  await page.locator('#numbers', { hasText: seen }).waitFor()
}

const choosePhoto = async (page: Page) => {
  await page.locator('#image-file').setInputFiles({ name: 'photo.png', mimeType: 'image/png', buffer: png })
  await page.locator('#picture-name', { hasText: 'photo.png' }).waitFor()
  await page.locator('#numbers dt').first().waitFor()
}

/** LibTorch's prediction and reconstruction of the photograph. */
function byLibTorch(
  { config, statistics, autoencoder }: OpenedModel,
  hidden: readonly number[],
  used: StatisticsUsed,
) {
  const flags = Array.from({ length: TOKENS }, (_, patch) => hidden.includes(patch))
  return scope(() => {
    const view = viewOf(normalizePixels({ pixels: taken, shape: [1, H, W, 3] }, statistics, 'cpu'))
    const { objective, parameters } = autoencoder!
    const [plan, weights] = [planFromMask([flags]), weightsOf(parameters)]
    const { normalize } = pixelTargetOf(config)!
    const { images: rows } = reconstruct({
      ...{ objective, shape: backboneOf(config), normalizeTarget: normalize, weights, view, plan },
      ...{ channelStatistics: statistics, statistics: [used] },
    })
    const prediction = toFloats(objective.predict(weights, view, plan).prediction)
    const { quality } = rows[0]!.rebuilt[0]!
    return {
      prediction,
      PSNR: `${quality.psnr.toFixed(1)} dB`,
      SSIM: quality.ssim.toFixed(3),
      Loss: toFloats(totalOf(objective.loss(weights, { image: view }, plan)))[0]!.toFixed(4),
    }
  })
}

/** The last prediction that the worker gave. */
const heardPrediction = (page: Page) =>
  page.evaluate<number[]>(`Array.from(window.heard.findLast(({ give }) => give?.prediction).give.prediction)`)

async function expectNumbers(
  page: Page,
  opened: OpenedModel,
  hidden: readonly number[],
  used: StatisticsUsed,
) {
  const { prediction, ...expected } = byLibTorch(opened, hidden, used)
  expect(prediction.length).toBe(TOKENS * 8 * 8 * 3)
  expectClose(await heardPrediction(page), prediction, 1e-4)
  expect(await numbersOf(page)).toMatchObject(expected)
}

const randomlyHidden = (ratio: number, seed: number) =>
  maskOrder(TOKENS, ratio, { seed, epoch: 0, index: 0 }).hidden

describe.skipIf(!executable)('the page', () => {
  let page: Page
  let trouble: readonly string[]

  beforeAll(async () => {
    ;({ page, trouble } = await visit('?model=models/normal/'))
    await settle(page, '3 of 15') // of a sample: there is something to see at once
    await choosePhoto(page)
  })

  /** The same page with other settings. */
  const set = (hash: string) => page.evaluate(`location.hash = ${JSON.stringify(hash)}`)

  it('shows what LibTorch rebuilds of the picture that was chosen, and of the mask and statistics that were', async () => {
    await expectNumbers(page, normal, randomlyHidden(0.75, 0), 'neighbours')
    expect(await labelOf(page, 'rebuilt')).toContain('statistics: from visible neighbours')

    await page.locator('#statistics input[value=true]').check()
    await expectNumbers(page, normal, randomlyHidden(0.75, 0), 'true')
    expect(await labelOf(page, 'rebuilt')).toContain('statistics: true (leaks the answer)')

    await page.locator('#seed').fill('12')
    await page.locator('#ratio').focus()
    for (let i = 0; i < 15; i++) await page.keyboard.press('ArrowLeft')
    await settle(page, '6 of 15')
    await expectNumbers(page, normal, randomlyHidden(0.6, 12), 'true')
    expect(page.url()).toContain('#design=random&ratio=60&seed=12&statistics=true')
    expect(trouble).toEqual([])
  })

  it('says what attention is of, in shares that make one', async () => {
    await page.locator('#attention[aria-label^="Attention of the class token"]').waitFor()
    const { values, blocks, heads } = await page.evaluate<{
      values: number[]
      blocks: number
      heads: number
    }>(
      `(({ give: { attention } }) => ({ ...attention, values: Array.from(attention.values) }))(window.heard.findLast(({ give }) => give?.attention))`,
    )
    expect([blocks, heads, values.length]).toEqual([2, 2, 2 * 2 * (1 + TOKENS)])
    for (let row = 0; row < blocks * heads; row++) {
      const sum = values.slice(row * 16, (row + 1) * 16).reduce((a, b) => a + b, 0)
      expect(sum).toBeCloseTo(1, 5)
    }
    const own = values[3 * 16]! // last block, second head
    await page.locator('#head').selectOption({ value: '1' })
    expect(await textOf(page, 'attention-caption')).toContain(
      `${Number((100 * own).toFixed(1))} % stays with the`,
    )
    await page.locator('#head').selectOption({ value: 'all' })
    expect(await textOf(page, 'attention-caption')).toBe(
      'All 2 heads, each from its own least share to its greatest.',
    )
    await page.locator('#head').selectOption({ value: 'mean' })
  })

  /** The captions that are right for a patch, by LibTorch: of the photograph, and of the sample that it is compared with. */
  async function expectLike(page: Page, patch: number) {
    const other = paintScene({ scene: 'pebbles', seed: 7, index: 1, size: W }) // W × W
    const square = { width: W, height: W }
    const cut = resizeBicubic({ pixels: other, ...square }, centerCrop(square, target), target)
    const { images } = await lookAt(
      normal,
      {
        ...{ pixels: Uint8Array.from([...taken, ...cut]), shape: [2, H, W, 3] },
        ...{ indices: [0, 1], names: ['photo.png', 'pebbles'] },
      },
      { patch: [Math.floor(patch / 5), patch % 5], nearest: 3 },
    )
    const place = (at: number) => `row ${Math.floor(at / 5) + 1}, column ${(at % 5) + 1}`
    const [own, others] = images.map(({ nearest }) =>
      nearest.map(({ place: at, similarity }) => `${place(at)} (${similarity.toFixed(2)})`).join('; '),
    )
    await page.locator('#like-caption', { hasText: `Chosen: ${place(patch)}.` }).waitFor()
    expect(await textOf(page, 'like-caption')).toBe(`Chosen: ${place(patch)}. Most alike: ${own}.`)
    expect(await textOf(page, 'other-caption')).toBe(`Of sample “pebbles” most alike: ${others}.`)
  }

  /** The middle of a patch, from the corner of the canvas. */
  async function onLike(page: Page, row: number, column: number) {
    const { width, height } = (await page.locator('#like').boundingBox())!
    return { x: ((column + 0.5) * width) / 5, y: ((row + 0.5) * height) / 3 }
  }

  it('shows what is like a patch that is pointed at, clicked, or moved to by keys, without another run', async () => {
    await page.locator('#features-caption', { hasText: 'of both pictures' }).waitFor()
    await expectLike(page, 7) // the most central
    const runs = () => page.evaluate<number>(`window.heard.filter(({ give }) => give?.features).length`)
    const before = await runs()
    await page.locator('#like').hover({ position: await onLike(page, 0, 0) })
    await expectLike(page, 0)
    await page.locator('#like').click({ position: await onLike(page, 1, 4) })
    await page.mouse.move(0, 0)
    await expectLike(page, 9) // it stays
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowRight') // the last column
    await page.keyboard.press('Home')
    await expectLike(page, 10)
    expect(await page.evaluate<string>(`window.said.at(-1)`)).toContain(
      'Chosen: row 3, column 1. Most alike:',
    )
    expect(await runs()).toBe(before)
    expect(trouble).toEqual([])
  })

  it('compares with another picture of the visitor', async () => {
    const other = { name: 'other.png', mimeType: 'image/png', buffer: png }
    await page.locator('#other-file').setInputFiles(other)
    await page.locator('#other-caption', { hasText: 'Of other.png' }).waitFor()
    // The same picture: the patch finds itself.
    expect(await textOf(page, 'other-caption')).toContain('Of other.png most alike: row 3, column 1 (1.00)')
    expect(await page.locator('#other-sample').inputValue()).toBe('')
    await page.locator('#other-sample').selectOption('pebbles')
    await page.locator('#other-caption', { hasText: 'Of sample “pebbles”' }).waitFor()
  })

  it('takes a picture that is dropped, and says why it does not take others', async () => {
    await set('design=random&ratio=75&seed=0')
    await settle(page, '3 of 15')
    const drop = async (name: string, bytes: Buffer) => {
      await page.evaluate(`{
        const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (c) => c.charCodeAt(0))
        const dataTransfer = new DataTransfer()
        dataTransfer.items.add(new File([bytes], '${name}'))
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
      }`)
    }
    await drop('dropped.png', png)
    await page.locator('#picture-name', { hasText: 'dropped.png' }).waitFor()
    await page.locator('#numbers dt').first().waitFor()
    await expectNumbers(page, normal, randomlyHidden(0.75, 0), 'neighbours')

    const alerted = page.getByRole('alert')
    await drop('notes.txt', Buffer.from('no picture'))
    await alerted.getByText('notes.txt is no image that this browser can read').waitFor()
    await drop('half.png', png.subarray(0, 40))
    await alerted.getByText('half.png is no image that this browser can read').waitFor()
    await drop('other.onnx', Buffer.from('no model'))
    await alerted.getByText('other.onnx is no ONNX file').waitFor()
    await alerted.getByRole('button', { name: 'Close' }).click()
    expect(await alerted.isVisible()).toBe(false)
    await expectNumbers(page, normal, randomlyHidden(0.75, 0), 'neighbours') // what was there stays
  })

  it('is painted on by mouse and by keys, and what was done is undone', async () => {
    await set('design=painted&marks=0')
    await page.locator('#masked[aria-label*="15 of 15"]').waitFor()
    const box = (await page.locator('#masked').boundingBox())!
    const side = box.width / 5
    const at = (row: number, column: number) =>
      [box.x + (column + 0.5) * side, box.y + (row + 0.5) * side] as const
    await page.mouse.move(...at(1, 0))
    await page.mouse.down()
    await page.mouse.move(...at(1, 4)) // one leap: the patches between are painted, too
    await page.mouse.up()
    await settle(page, '10 of 15')
    await expectNumbers(page, normal, [5, 6, 7, 8, 9], 'neighbours')
    expect(page.url()).toContain('design=painted&marks=07c')

    await page.keyboard.press('ArrowUp') // from where the pointer was first, with the keys
    await page.keyboard.press('Space')
    await page.keyboard.press('Shift+ArrowRight')
    await settle(page, '8 of 15')
    await expect.poll(() => page.evaluate('window.said')).toContain('row 1, column 2: hidden')
    await expectNumbers(page, normal, [0, 1, 5, 6, 7, 8, 9], 'neighbours')

    await page.keyboard.press('Control+z')
    await settle(page, '9 of 15')
    await page.getByRole('button', { name: 'Undo' }).click()
    await page.getByRole('button', { name: 'Undo' }).click()
    expect(await labelOf(page, 'masked')).toContain('15 of 15 patches seen')
    expect(await textOf(page, 'rebuilt-caption')).toContain('Nothing is hidden')
    expect(await page.getByRole('button', { name: 'Undo' }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Redo' }).click()
    await settle(page, '10 of 15')
    await page.getByRole('button', { name: 'Invert' }).click()
    await settle(page, '5 of 15')
    await expectNumbers(page, normal, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14], 'neighbours')
    await page.getByRole('button', { name: 'Hide all' }).click()
    expect(await textOf(page, 'rebuilt-caption')).toContain('Everything is hidden')
    expect(trouble).toEqual([])
  })

  it('works on a phone: painted by touch, nothing wider than the screen, nothing too small for a finger', async () => {
    const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }
    const { page, trouble } = await visit('?model=models/normal/#design=unpainted&marks=0', phone)
    await page.locator('#numbers').waitFor({ state: 'attached' })
    await choosePhotoWithoutMask(page)
    await page.locator('#masked').scrollIntoViewIfNeeded()
    const box = (await page.locator('#masked').boundingBox())!
    const side = box.width / 5
    const at = (row: number, column: number) => ({
      x: box.x + (column + 0.5) * side,
      y: box.y + (row + 0.5) * side,
    })
    const client = await page.context().newCDPSession(page)
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', touchPoints: { x: number; y: number }[]) =>
      client.send('Input.dispatchTouchEvent', { type, touchPoints })
    await touch('touchStart', [at(0, 1)])
    await touch('touchMove', [at(1, 1)])
    await touch('touchMove', [at(2, 1)])
    await touch('touchEnd', [])
    await settle(page, '3 of 15')
    const seen = [1, 6, 11]
    await expectNumbers(
      page,
      normal,
      [...Array(TOKENS).keys()].filter((patch) => !seen.includes(patch)),
      'neighbours',
    )

    await page.locator('#features-caption', { hasText: 'of both pictures' }).waitFor()
    const chosen = page.locator('#like-caption', { hasText: 'Chosen: row 3, column 5.' })
    // Where the page still draws, the picture may move away under a finger: it taps again.
    for (let isChosen = false; !isChosen; ) {
      await page.locator('#like').tap({ position: await onLike(page, 2, 4) })
      isChosen = await chosen.waitFor({ timeout: 10_000 }).then(
        () => true,
        () => false,
      )
    }

    await page.locator('#model > summary').click()
    await page.locator('#error-numbers > summary').click()
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(360)
    const small = await page.evaluate<string[]>(`
      [...document.querySelectorAll('button, select, summary, input:not([type=radio]):not([type=file]), .button, .choice')]
        .filter((element) => element.checkVisibility())
        .filter((element) => Math.min(element.getBoundingClientRect().width, element.getBoundingClientRect().height) < 44)
        .map((element) => element.outerHTML.slice(0, 80))`)
    expect(small).toEqual([])
    expect(trouble).toEqual([])
    await page.context().close()
  })

  it.each([360, 400, 768, 1280])(
    'breaks no word, cuts nothing and begins with what is done first, %i pixels wide',
    async (width) => {
      await page.setViewportSize({ width, height: 900 })
      await page.evaluate(
        `for (const id of ['model', 'error-numbers']) document.getElementById(id).open = true`,
      )
      await drawn(page)
      const { wide, broken, cut, tops } = await page.evaluate<Geometry>(geometry)
      expect({ wide, broken, cut }).toEqual({ wide: width, broken: [], cut: [] })
      const {
        desk,
        masked,
        mask,
        rebuilt,
        result,
        original,
        error,
        attention,
        features,
        like,
        other,
        model,
      } = tops
      const rows =
        width < 700
          ? [
              ...[
                desk,
                masked,
                mask,
                rebuilt,
                result,
                original,
                error,
                attention,
                features,
                like,
                other,
                model,
              ],
            ].map((top) => [top])
          : width < 1000
            ? [
                [desk],
                [masked, rebuilt],
                [mask, result],
                [original, error, attention],
                [features, like, other],
                [model],
              ]
            : [
                [desk],
                [masked, mask, rebuilt],
                [result],
                [original, error, attention],
                [features, like, other],
                [model],
              ]
      for (const [i, row] of rows.entries()) {
        expect(new Set(row).size).toBe(1)
        if (i > 0) expect(row[0]).toBeGreaterThan(rows[i - 1]![0]!)
      }
      if (width < 700) expect(masked! + width).toBeLessThan(850) // the masked picture is on the first screen
      await page.evaluate(
        `for (const id of ['model', 'error-numbers']) document.getElementById(id).open = false`,
      )
      await page.setViewportSize({ width: 1280, height: 900 })
    },
  )

  it('names everything that can be reached', async () => {
    await page.locator('#model > summary').click()
    await page.locator('#error-numbers > summary').click()
    const client = await page.context().newCDPSession(page)
    const { nodes } = await client.send('Accessibility.getFullAXTree')
    const reached = nodes.filter(
      ({ ignored, role, properties }) =>
        !ignored &&
        (role?.value === 'image' ||
          properties?.some(({ name, value }) => name === 'focusable' && value.value)),
    )
    const isPage = (role: unknown) => role === 'RootWebArea' || role === 'scrollable'
    expect(reached.length).toBeGreaterThan(25)
    const unnamed = reached.filter(({ role, name }) => !isPage(role?.value) && !name?.value)
    expect(unnamed.map(({ role, nodeId }) => `${role?.value} ${nodeId}`)).toEqual([])
  })

  it('needs no statistics for a model of raw pixels, and says so', async () => {
    const { page } = await visit('?model=models/raw/autoencoder.onnx')
    await settle(page, '3 of 15')
    await choosePhoto(page)
    await expectNumbers(page, raw, randomlyHidden(0.75, 0), 'raw')
    expect(await labelOf(page, 'rebuilt')).toContain('statistics: none needed (raw pixels)')
    expect(await page.locator('#statistics input[value=true]').isDisabled()).toBe(true)
    expect(await textOf(page, 'attention-caption')).toContain('There is no encoder.onnx here')
    await page.context().close()
  })

  it('finds the models of "sherd serve", and computes there in several threads with the same numbers', async () => {
    const { page, trouble } = await visit('playground/', {}, `${served.url}/`)
    await settle(page, '3 of 15')
    await choosePhoto(page)
    const threads = await page.evaluate<number>(`window.heard.find(({ give }) => give?.models).give.threads`)
    const cores = await page.evaluate<number>('navigator.hardwareConcurrency')
    expect(threads).toBe(Math.min(8, cores))
    await expectNumbers(page, normal, randomlyHidden(0.75, 0), 'neighbours')
    expect(trouble).toEqual([])
    await page.context().close()
  })

  it.runIf(hasLayouts)(
    'looks with an encoder alone that has no cls token, by attention pooling or its patches',
    async () => {
      const out = join(models, 'siglip')
      const model = await openModel({ model: join(layouts, 'siglip-vision'), device: 'cpu' }, ['encoder'])
      for await (const _ of exportOnnx({
        model,
        out,
        graphs: ['encoder'],
        attention: true,
        dynamicGrid: { most: 64 },
        precisions: ['fp32'],
      }));
      const own = await serve({ model: out, port: 0, threads: 1, imageSize: [24, 40] })
      const { page, trouble } = await visit('playground/', {}, `${own.url}/`)
      await page.locator('#other-caption', { hasText: 'most alike' }).waitFor()
      await page.locator('#features-caption', { hasText: 'of both pictures' }).waitFor()
      expect(await labelOf(page, 'attention')).toMatch(
        /^Where attention pooling looks\. 100 % goes to patches, most to row/,
      )
      expect(await textOf(page, 'model-name')).toBe('ViT-base/8, 40 × 24 pixels') // as it is served
      await page.locator('#block').selectOption('0')
      expect(await textOf(page, 'attention-title')).toBe('Where the patches look, on average')
      const hidden = ['plate-masked', 'mask-controls', 'plate-rebuilt', 'result-controls', 'plate-error']
      for (const id of hidden) expect(await page.locator(`#${id}`).isVisible()).toBe(false)
      expect(trouble).toEqual([])
      await page.context().close()
      await own.stop()
      // The same file beside the page, without an autoencoder: of its own size.
      const beside = await visit('?model=models/siglip/')
      await beside.page.locator('#other-caption', { hasText: 'most alike' }).waitFor()
      expect(await textOf(beside.page, 'model-name')).toBe('ViT-base/8, 32 × 32 pixels')
      expect(await beside.page.getByRole('alert').isVisible()).toBe(false)
      await beside.page.context().close()
    },
  )

  it('has beside it the start page of "sherd serve", whose form is answered, and the description', async () => {
    const context = await browser.newContext()
    context.setDefaultTimeout(patience)
    const page = await context.newPage()
    const trouble: string[] = []
    page.on('console', (message) => trouble.push(message.text()))
    page.on('pageerror', (error) => trouble.push(String(error)))
    page.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(served.url))
        trouble.push(request.url())
    })
    await page.goto(`${served.url}/docs/`)
    await page.locator('.opblock-summary-path', { hasText: '/v1/reconstruct' }).waitFor()
    await page.goto(served.url)
    const file = { name: 'photo.png', mimeType: 'image/png', buffer: png }
    await page.getByLabel('Pictures').setInputFiles(file)
    expect(trouble).toEqual([])
    await page.getByRole('button', { name: 'reconstruct' }).click()
    await page.waitForURL(/v1\/reconstruct\?format=png$/)
    expect(await page.evaluate('document.contentType')).toBe('image/png')
    await context.close()
  })

  it('says what is wrong with a model, and takes one that is chosen instead', async () => {
    const { page } = await visit('?model=models/bad/&model=models/none/')
    const alerted = page.getByRole('alert')
    await alerted.getByText('There is no model at').waitFor()
    const topOf = async (id: string) => (await page.locator(id).boundingBox())!.y
    expect(await topOf('#model')).toBeLessThan(await topOf('#desk')) // first what is to be done first
    await page.locator('#model-files + span').waitFor() // open
    await page.goto(`${server.url}?model=models/bad/autoencoder.onnx`)
    await alerted.getByText('autoencoder.onnx is no ONNX file: expected an autoencoder.onnx').waitFor()
    const files = ['autoencoder.onnx', 'encoder.onnx'].map((name) => join(models, 'normal', name))
    await page.locator('#model-files').setInputFiles(files)
    await settle(page, '3 of 15')
    expect(await textOf(page, 'model-name')).toBe('ViT-tiny/8, 40 × 24 pixels')
    expect(await topOf('#model')).toBeGreaterThan(await topOf('#plate-attention'))
    await page.context().close()
  })

  it('saves a picture that says what it is', async () => {
    await set('design=grid&ratio=50')
    await settle(page, '7 of 15')
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save picture' }).click(),
    ])
    const { format, width, height } = await sharp(await download.path()).metadata()
    // Four pictures of 16 pixels for one, with a line of text and gaps.
    expect([format, width, height]).toEqual(['png', 4 * 640 + 5 * 24, 384 + 44 + 2 * 24])
  })
})

interface Geometry {
  /** Of the document. */
  readonly wide: number
  /** Words on two lines. */
  readonly broken: readonly string[]
  /** Choices and buttons whose text is wider than they are, and words that stick out of the page. */
  readonly cut: readonly string[]
  readonly tops: Readonly<Record<string, number>>
}

/** A word may end at a hyphen, but no option of a command. What scrolls by itself may be wider. */
const geometry = `(() => {
  const broken = [], cut = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node; (node = walker.nextNode()); ) {
    const parent = node.parentElement
    if (!parent.checkVisibility() || parent.closest('script, style, select, .unseen, .scroll')) continue
    for (const { 0: word, index } of node.data.matchAll(parent.closest('code') ? /\\S+/g : /[^\\s\\u2013-]+/g)) {
      const range = document.createRange()
      range.setStart(node, index)
      range.setEnd(node, index + word.length)
      const rects = [...range.getClientRects()].filter(({ width }) => width > 0)
      if (new Set(rects.map(({ top }) => Math.round(top))).size > 1) broken.push(word)
      if (rects.some(({ left, right }) => left < 0 || right > innerWidth)) cut.push(word)
    }
  }
  for (const button of document.querySelectorAll('button, .button span'))
    if (button.scrollWidth > button.clientWidth) cut.push(button.textContent)
  const pen = document.createElement('canvas').getContext('2d')
  for (const select of document.querySelectorAll('select')) {
    const { font, paddingLeft, paddingRight } = getComputedStyle(select)
    pen.font = font
    const room = select.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight) - 16 // the arrow
    for (const { text } of select.options) if (pen.measureText(text).width > room) cut.push(text)
  }
  const ids = { desk: 'desk', masked: 'plate-masked', mask: 'mask-controls', rebuilt: 'plate-rebuilt',
    result: 'result-controls', original: 'plate-original', error: 'plate-error', attention: 'plate-attention',
    features: 'plate-features', like: 'plate-like', other: 'plate-other', model: 'model' }
  const topOf = (id) => Math.round(document.getElementById(id).getBoundingClientRect().top + scrollY)
  const tops = Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, topOf(id)]))
  return { wide: document.documentElement.scrollWidth, broken, cut, tops }
})()`

/** Chooses the photograph where the mask is such that nothing is rebuilt. */
async function choosePhotoWithoutMask(page: Page): Promise<void> {
  await page.locator('#original[aria-label^="The original"]').waitFor()
  await page.locator('#image-file').setInputFiles({ name: 'photo.png', mimeType: 'image/png', buffer: png })
  await page.locator('#picture-name', { hasText: 'photo.png' }).waitFor()
}
