// Exported folders in the hands of transformers.js in a real browser, whose runtime is WebAssembly and whose precision is q8 unless told.
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, sep } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findChromium, launchChromium, patience } from '../../scripts/playground/chromium.ts'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { exportHuggingface, type HuggingfaceOptions } from '../../src/export/export-huggingface.ts'
import { importWeights } from '../../src/import/import.ts'
import { packageRoot } from '../../src/package-root.ts'
import { workFolder } from '../run/tiny.ts'
import { expectClose } from '../tolerance.ts'

const executable = findChromium()
const isHere = executable !== null
if (!isHere) console.warn('test/export/transformers-js-browser.test.ts is skipped: no Chromium on the PATH')

const fixtures = join(packageRoot(), 'test/fixtures/weights')
const { tensors: expected } = readArrays(join(fixtures, 'expected.safetensors'))
const { data: images, shape } = expected.get('input.images')!
const want = (name: string) => expected.get(name)!.data as Float32Array

// The map is what a bundler would do.
const page = `<!doctype html>
<script type="importmap">{"imports": {
  "onnxruntime-web/webgpu": "/packages/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs",
  "onnxruntime-common": "/packages/onnxruntime-common/dist/esm/index.js"
}}</script>
<script type="module">
  import * as library from '/packages/@huggingface/transformers/dist/transformers.web.js'

  const { env, AutoModel, AutoModelForImageClassification, Tensor } = library
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: '/models/' })
  Object.assign(env, { useBrowserCache: false, useWasmCache: false })
  env.backends.onnx.wasm.wasmPaths = location.origin + '/packages/onnxruntime-web/dist/'
  window.run = async ({ folder, output, options, values, shape }) => {
    const kind = output === 'logits' ? AutoModelForImageClassification : AutoModel
    const model = await kind.from_pretrained(folder, options)
    const made = await model({ pixel_values: new Tensor('float32', Float32Array.from(values), shape) })
    return { name: model.constructor.name, values: [...made[output].data] }
  }
</script>`
const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}

let work: string
let server: Server
let browser: Browser
let tab: Page

async function exported(name: string, onnx: NonNullable<HuggingfaceOptions['onnx']>): Promise<void> {
  const { path } = await importWeights({ from: join(fixtures, name), out: join(work, `${name}.safetensors`) })
  await exportHuggingface({ model: path, out: join(work, name), onnx })
}

beforeAll(async () => {
  if (!executable) return
  work = await workFolder()
  await exported('huggingface-mae', ['fp32', 'q8'])
  await exported('huggingface-vit', ['fp32'])
  const roots: readonly (readonly [string, string])[] = [
    ['/packages/', join(packageRoot(), 'node_modules') + sep],
    ['/models/', work + sep],
  ]
  server = createServer(({ url = '/' }, response) => {
    const root = roots.find(([prefix]) => url.startsWith(prefix))
    const file = root && join(root[1], url.slice(root[0].length))
    if (!root && url === '/') response.setHeader('content-type', 'text/html').end(page)
    else if (!file?.startsWith(root![1]) || !existsSync(file)) response.writeHead(404).end()
    else response.setHeader('content-type', types[extname(file)] ?? '').end(readFileSync(file))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  // Compiling WebAssembly well takes longer than running these models.
  browser = await launchChromium(executable, ['--js-flags=--liftoff-only'])
  tab = await browser.newPage()
  tab.setDefaultTimeout(patience)
  await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await tab.waitForFunction('window.run')
})
afterAll(async () => {
  await browser?.close()
  server?.close()
})

/** What a model makes of the images of the fixtures, in the browser. */
function run(folder: string, output: string, options: { dtype?: 'fp32' } = {}) {
  const given = { folder, output, options, values: [...(images as Float32Array)], shape }
  return tab.evaluate<{ name: string; values: number[] }>(`run(${JSON.stringify(given)})`)
}

it.skipIf(!isHere)(
  'ViTMAEModel is what PyTorch computed, and q8 is taken where nothing is asked for',
  async () => {
    const told = await run('huggingface-mae', 'last_hidden_state', { dtype: 'fp32' })
    expect(told.name).toBe('ViTMAEModel')
    expectClose(told.values, want('huggingface-mae.tokens'), 1e-5)
    const own = await run('huggingface-mae', 'last_hidden_state')
    expectClose(own.values, want('huggingface-mae.tokens'), 0.2)
    expect(own.values).not.toEqual(told.values)
  },
)

it.skipIf(!isHere)('config.json sends the browser to fp32 where there is no q8', async () => {
  const { values } = await run('huggingface-vit', 'logits')
  expectClose(values, want('huggingface-vit.logits'), 1e-5)
})
