// Runs whose masks are those of a function.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openRun } from '../../src/checkpoint/run-folder.ts'
import type { MaskFunction } from '../../src/objective/mask-chooser.ts'
import { run, sampleFolder, tinyConfig, workFolder } from './tiny.ts'

it('a run notes it, continues to the same bits with it, and is refused without it', async () => {
  const [data, dir] = [await sampleFolder(), await workFolder()]
  const seen = new Set<string>()
  const mask: MaskFunction = ({ h, w }, draw, { epoch, index }) => {
    seen.add(`${epoch} ${index}`)
    const first = draw.below(h * w - 4)
    return Array.from({ length: h * w }, (_, n) => n >= first && n < first + 2 + (index % 3))
  }
  const config = tinyConfig({ train: { steps: 4 }, checkpoint: { everySteps: 2 } })
  const [straight, parted, plain] = ['straight', 'parted', 'plain'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  await run({ config, data, out: straight, mask })
  expect(seen.size).toBeGreaterThanOrEqual(32) // 4 steps of 8 images
  expect(openRun(straight).facts.mask).toBe('function')
  await run({ config, data, out: parted, mask }, ({ kind }) => kind === 'checkpoint')
  await expect(run({ config, out: parted, resume: true })).rejects.toThrow(/masks of a function/)
  await run({ config, out: parted, resume: true, mask })
  const weights = (out: string) => readFileSync(join(openRun(out).latest!.path, 'model.safetensors'))
  expect(weights(parted).equals(weights(straight))).toBe(true)
  await run({ config, data, out: plain }, ({ kind }) => kind === 'checkpoint')
  expect(weights(plain).equals(weights(straight))).toBe(false)
  await expect(run({ config, out: plain, resume: true, mask })).rejects.toThrow(/without a function/)
})
