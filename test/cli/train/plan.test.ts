import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inProcess, workFolder } from '../sherd.ts'

const isRoot = process.getuid?.() === 0

describe('sherd plan refuses', () => {
  it('a folder without images, or that is not there', async () => {
    const cwd = await workFolder()
    writeFileSync(join(cwd, 'notes.txt'), 'no image')
    const none = await inProcess(['plan', '--data', '.'], { cwd })
    expect(none).toMatchObject({ status: 1, stdout: '' })
    expect(none.stderr).toMatch(/error: No images in .* 1 other files were seen, such as "notes.txt"/)
    const missing = await inProcess(['plan', '--data', 'nowhere'], { cwd })
    expect(missing.stderr).toMatch(/error: Expected a folder of .*, but cannot open .*nowhere/)
  })
  it.skipIf(isRoot)('one that cannot be read', async () => {
    const cwd = await workFolder()
    mkdirSync(join(cwd, 'closed'))
    chmodSync(join(cwd, 'closed'), 0)
    const { status, stderr } = await inProcess(['plan', '--data', '.'], { cwd })
    chmodSync(join(cwd, 'closed'), 0o700)
    expect(status).toBe(1)
    expect(stderr).toMatch(/Cannot read the folder .*closed/)
  })
  it('hours that are none, and a missing folder', async () => {
    expect(await inProcess(['plan', '--data', '.', '--hours', '0'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--hours.*Expected a positive number/),
    })
    expect((await inProcess(['plan'])).status).toBe(2)
  })
})
