import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../../src/package-root.ts'
import { sherd, workFolder } from '../sherd.ts'

const fixtures = join(packageRoot(), 'test/fixtures/weights')
/** Nothing here computes: names and bytes need no LibTorch. */
const env = { LIBTORCH: '/nonexistent' }

it('imports, tells what became of every parameter, and exports it again, without LibTorch', async () => {
  const cwd = await workFolder()
  const from = join(fixtures, 'huggingface-mae')
  const made = await sherd(['import', from, '--out', 'a.safetensors'], { cwd, env })
  expect([made.status, made.stderr]).toEqual([0, ''])
  expect(made.stdout).toMatch(
    /^left out {2}embeddings\.position_embeddings +sines and cosines, computed here/m,
  )
  expect(made.stdout).toMatch(/ViTMAE: 36 loaded, 0 reshaped, 0 missing, 0 unexpected, 2 left out$/m)
  const all = await sherd(['import', from, '--out', 'a.safetensors', '--verbose', '--overwrite'], {
    cwd,
    env,
  })
  expect(all.stdout).toMatch(/^loaded +blocks\.0\.attn\.qkv\.bias +from vit\..*query\.bias, .*value\.bias$/m)
  const args = ['--model', 'a.safetensors', '--out', 'hf', '--json']
  const exported = await sherd(['export', 'huggingface', ...args], { cwd, env })
  expect(exported.json()[0]).toMatchObject({ kind: 'export', architecture: 'ViTMAEForPreTraining' })
  const again = await sherd(['import', 'hf', '--out', 'b.safetensors', '--json'], { cwd, env })
  expect(again.json()[0]).toMatchObject({ kind: 'import', layout: 'huggingface', counts: { loaded: 36 } })
  const bytes = (name: string) => readFileSync(join(cwd, name))
  expect(bytes('b.safetensors').equals(bytes('a.safetensors'))).toBe(true)
})

it('says what it needs to know, and reads nothing that would run', async () => {
  const cwd = await workFolder()
  const run = (...args: string[]) => sherd(['import', ...args, '--out', 'x.safetensors'], { cwd, env })
  const silent = await run(join(fixtures, 'mae.pth'))
  expect(silent.status).toBe(2)
  expect(silent.stderr).toMatch(/--set model\.heads=… --set decoder\.heads=…/)
  const forbidden = await run(join(fixtures, 'forbidden.pth'))
  expect([forbidden.status, forbidden.stdout]).toEqual([1, ''])
  expect(forbidden.stderr).toMatch(
    /holds no weights; it asks for "posix\.system", of which nothing is called/,
  )
  expect((await run(join(fixtures, 'mae.pth'), '--grid', '3')).stderr).toMatch(/such as 2x8/)
  expect((await run(join(fixtures, 'mae.pth'), '--take', 'ema')).stderr).toMatch(/--take: .*under: model/)
  const satmae = await run(join(fixtures, 'satmae.pth'), '--statistics', join(fixtures, 'timm/config.json'))
  expect(satmae.stderr).toMatch(/has no mean and std/)
  expect((await run(join(fixtures, 'timm'), '--allow', 'all')).stderr).toMatch(/missing, unexpected or both/)
  expect(existsSync(join(cwd, 'x.safetensors'))).toBe(false)
})

it('gives an encoder that embeds', async () => {
  const cwd = await workFolder()
  const images = await sherd(['sample-data', '--out', 'images', '--count', '10', '--size', '16'], { cwd })
  expect(images.status).toBe(0)
  const from = join(fixtures, 'timm')
  await sherd(['import', from, '--out', 'a.safetensors'], { cwd, env })
  const args = ['images', '--model', 'a.safetensors', '--out', 'f.npy', '--json']
  expect((await sherd(['embed', ...args], { cwd })).json()[0]).toMatchObject({ images: 10, width: 8 })
})
