import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'

// The runs go through dist/, in a process of its own, because what decides the bits must be set before LibTorch is loaded.
it('small runs end with the tensor bytes of the record', { timeout: 900_000 }, ({ skip }) => {
  const script = join(packageRoot(), 'scripts/goldens/main.mjs')
  const { stdout, stderr } = spawnSync(process.execPath, [script, 'check', '--json'], { encoding: 'utf8' })
  const last = stdout.trim().split('\n').at(-1) ?? ''
  expect(last, `${stdout}${stderr}`).toMatch(/^\{"status"/)
  const { status, message } = JSON.parse(last) as { status: string; message: string }
  if (status === 'no record') {
    console.warn(message) // what this machine has, what is recorded, and how to record; the usual reporter shows no reason
    skip(message)
  }
  expect(status, message).toBe('same')
})
