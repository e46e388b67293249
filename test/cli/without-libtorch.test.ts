// What must work where LibTorch is not: a request for it fails here.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { readNpy } from '../../src/files/npy.ts'
import { packageRoot } from '../../src/package-root.ts'
import { sherd, tinyModel, workFolder } from './sherd.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')

let cwd: string
const without = (...args: string[]) =>
  sherd(args, {
    cwd,
    env: {
      ...{ LIBTORCH: '/nonexistent', XDG_CACHE_HOME: join(cwd, 'cache') },
      ORT_DISABLE_TELEMETRY: undefined, // as most have it
    },
  })

beforeAll(async () => {
  cwd = await workFolder()
  const model = ['--model', 'random', '--preset', 'mae-demo', ...tinyModel()]
  expect((await sherd(['export', 'onnx', ...model, '--out', 'onnx'], { cwd })).status).toBe(0) // by its help
  expect((await without('sample-data', '--out', 'photos', '--count', '10', '--size', '20')).status).toBe(0)
  expect((await without('import', join(fixtures, 'timm'), '--out', 'timm.safetensors')).status).toBe(0)
})

it('embed, of an exported encoder, which leaves no trace of itself on the machine', async () => {
  const args = ['embed', 'photos', '--model', 'onnx/encoder.onnx', '--out', 'f.npy']
  const { status, stderr } = await without(...args)
  expect([status, stderr]).toEqual([0, ''])
  expect(readNpy(join(cwd, 'f.npy'), { dtype: /<f4/, shape: [10, 32] }).values.length).toBe(10 * 32 * 4)
  const cache = join(cwd, 'cache')
  expect(existsSync(cache) ? readdirSync(cache) : []).not.toContain('Microsoft') // of ONNX Runtime's telemetry
})

it('import, with an embedding inflated and another grid', async () => {
  writeFileSync(join(cwd, 'statistics.json'), '{"mean": [1, 2, 3, 4], "std": [1, 1, 1, 1]}')
  const { status, stderr, stdout } = await without(
    ...['import', join(fixtures, 'huggingface-mae'), '--out', 'bands.safetensors', '--inflate'],
    ...['--set', 'data.bands=["B4","B3","B2","B8"]', '--statistics', 'statistics.json'],
    ...['--set', 'model.imageSize=8'],
  )
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^reshaped +patch_embed\.proj\.weight .*inflated from 3 to 4 channels/m)
  expect(stdout).toMatch(/^left out +embeddings\.position_embeddings .*recomputed for 4 × 4 places/m)
})

it.each<[string, string[], string[]]>([
  [
    'huggingface',
    ['--no-onnx'],
    ['README.md', 'config.json', 'model.safetensors', 'preprocessor_config.json'],
  ],
  ['timm', [], ['README.md', 'config.json', 'model.safetensors']],
])('export %s', async (kind, options, files) => {
  const { status, stderr } = await without(
    ...['export', kind, '--model', 'timm.safetensors', '--out', kind, ...options],
  )
  expect([status, stderr]).toEqual([0, ''])
  expect(readdirSync(join(cwd, kind)).sort()).toEqual([...files, 'made.json'].sort())
})

it('export huggingface says that graphs are left out, and refuses where they were asked for', async () => {
  const args = ['export', 'huggingface', '--model', 'timm.safetensors', '--out']
  const silent = await without(...args, 'silent')
  expect([silent.status, silent.stderr]).toEqual([
    0,
    'warning: No onnx/ for transformers.js was written: LibTorch was not found. The rest is complete.\n',
  ])
  expect(readFileSync(join(cwd, 'silent/README.md'), 'utf8')).not.toContain('@huggingface/transformers')
  const asked = await without(...args, 'asked', '--onnx')
  expect([asked.status, existsSync(join(cwd, 'asked/config.json'))]).toEqual([1, false])
  expect(asked.stderr).toMatch(/LibTorch was not found/)
})

it('doctor says what is missing, and what works all the same', async () => {
  const { status, stdout } = await without('doctor')
  expect(status).toBe(1)
  expect(stdout).toMatch(/^FAIL +LibTorch by LIBTORCH=\/nonexistent/m)
  expect(stdout).toMatch(/^ok +without LibTorch +import, export huggingface .* \.onnx file, work$/m)
  expect(stdout).toMatch(/^ok +ONNX Runtime +\d+\.\d+\.\d+$/m)
})
