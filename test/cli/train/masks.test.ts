import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, expect, it } from 'vitest'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { inProcess, workFolder } from '../sherd.ts'

let cwd: string
beforeAll(async () => {
  cwd = await workFolder()
  await writeSampleData({ dir: join(cwd, 'images'), count: 10, size: 32, seed: 1 })
})

const preview = (...args: string[]) => inProcess(['masks', 'preview', ...args], { cwd })

it('draws a row for each kind, with exact counts', async () => {
  const cell = ['--set', 'mask.cell=8', '--set', 'mask.ratio=0.5']
  const result = await preview(
    ...['mae-tiny-cifar10', '--data', 'images', '--out', 'm.png', '--count', '3', ...cell, '--json'],
  )
  expect(result.status).toBe(0)
  expect(result.json()).toEqual([
    {
      ...{ kind: 'mask-preview', out: join(cwd, 'm.png'), images: 3 },
      leftOut: [
        { kind: 'attention', reason: expect.stringMatching(/name one with --set mask.model=RUN$/) },
        { kind: 'loss', reason: 'masks follow the losses that a run has learned to predict' },
        { kind: 'files', reason: expect.stringMatching(/^mask\.dir: expected the path of a folder/) },
      ],
      masks: ['random', 'block', 'grid', 'coarse', 'multi-block', 'centre', 'periphery'].map((kind) => ({
        ...{ kind, hidden: 32, patches: 64 },
      })),
    },
  ])
  const { format, width, height } = await sharp(join(cwd, 'm.png')).metadata()
  // Rows may stand side by side, and are drawn at 72 pixels or more: 3 images, the original and seven kinds.
  expect(format).toBe('png')
  expect(width! * height!).toBeGreaterThan(3 * 8 * 72 * 72)
})

it('leaves out what the images are too small for, and takes the spellings of other commands', async () => {
  const { status, stdout, stderr } = await preview(
    ...['--preset', 'mae-tiny-cifar10', '--images', 'images', '--out', 'n.png', '--count', '1'],
    ...['--set', 'mask.cell=32', '--set', 'mask.minBlock=4'],
  )
  expect(status).toBe(0)
  expect(stderr).toContain('coarse is left out: mask.cell is 32 pixels, and model.imageSize 32 × 32')
  expect(stdout).toMatch(/^random +48 of 64 patches hidden\nblock +48 of 64 /)
  expect(stdout).toContain(`masks: ${join(cwd, 'n.png')}\n`)
})

it('refuses a kind that does not fit, and a picture that is there', async () => {
  const args = ['mae-tiny-cifar10', '--data', 'images']
  const [wrong, unknown, there] = [
    await preview(...args, '--out', 'o.png', '--set', 'mask.kind=coarse', '--set', 'mask.cell=32'),
    await preview(...args, '--out', 'o.png', '--set', 'mask.kind=coarser'),
    await preview(...args, '--out', join('images', 'sub.txt')),
  ]
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('one cell covers all')])
  expect([unknown.status, unknown.stderr]).toEqual([
    2,
    expect.stringContaining('mask.kind: expected random or block or grid'),
  ])
  expect([there.status, there.stderr]).toEqual([2, expect.stringContaining('.png')])
})
