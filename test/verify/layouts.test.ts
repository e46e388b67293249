// Every published layout is read whole, and its encoder says what its own library says, at two sizes.
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { verify } from '../../src/verify/verify.ts'

const layouts = join(packageRoot(), '../shared/reference/layouts')
const names = existsSync(layouts) ? readdirSync(layouts).filter((name) => !name.startsWith('videomae-')) : []
const work = mkdtempSync(join(tmpdir(), 'sherd-layouts-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const checked = (folder: string) =>
  verify(join(folder, 'expected.safetensors'), { device: 'cpu', precision: 'fp32' })

it.skipIf(names.length === 0).each(names)('%s', async (name) => {
  const { checks, notSupported, passed } = await checked(join(layouts, name))
  expect(checks.filter((check) => !check.passed)).toEqual([])
  expect(notSupported).toEqual([])
  expect(checks.length).toBeGreaterThan(2)
  expect(passed).toBe(true)
})

it.skipIf(names.length === 0)('one wrong number of one weight is found', async () => {
  const changed = (name: string, change: (x: Float32Array) => Float32Array) => {
    const folder = mkdtempSync(join(work, 'changed-'))
    cpSync(join(layouts, 'dinov2'), folder, { recursive: true })
    const file = join(folder, 'model.safetensors')
    const { tensors, metadata } = readArrays(file)
    const { data, ...rest } = tensors.get(name)!
    writeSafetensors(
      file,
      new Map([...tensors, [name, { ...rest, data: change(data as Float32Array) }]]),
      metadata,
    )
    return folder
  }
  const { checks, passed } = await checked(
    changed('encoder.layer.1.layer_scale2.lambda1', (x) => x.map((value, i) => value + (i === 3 ? 0.01 : 0))),
  )
  expect(passed).toBe(false)
  expect(checks.filter((check) => !check.passed).map(({ name }) => name)).toContain('last_hidden_state')
})
