import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { sherd, workFolder } from './sherd.ts'

const files = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .sort()
    .map((name) => ({
      name,
      bytes: readFileSync(join(dir, name)).toString('base64'),
      written: statSync(join(dir, name)).mtimeMs,
    }))

describe('sherd sample-data', () => {
  it('writes labelled images once, and the same ones everywhere', async () => {
    const cwd = await workFolder()
    const args = ['--count', '20', '--size', '16']
    const first = await sherd(['sample-data', '--out', 'a', ...args], { cwd })
    expect(first).toMatchObject({ status: 0, stdout: `20 images in 10 classes: ${join(cwd, 'a')}\n` })
    const written = files(join(cwd, 'a'))
    const source = await openImageFolder(join(cwd, 'a'))
    expect([source.files.length, source.classes.length]).toEqual([20, 10])

    const [again, other] = await Promise.all([
      sherd(['sample-data', '--out', 'a', ...args, '--json'], { cwd }),
      sherd(['sample-data', '--out', 'b', ...args], { cwd }),
    ])
    expect(again.json()).toEqual([{ dir: join(cwd, 'a'), count: 20, classes: source.classes }])
    expect(files(join(cwd, 'a'))).toEqual(written) // not even touched
    expect(other.status).toBe(0)
    const content = (dir: string) => files(dir).map(({ name, bytes }) => [name, bytes])
    expect(content(join(cwd, 'b'))).toEqual(content(join(cwd, 'a')))
  })

  it('does not write into a folder that holds something else', async () => {
    const cwd = await workFolder()
    await sherd(['sample-data', '--out', 'a', '--count', '10', '--size', '16'], { cwd })
    const [other, inUse] = await Promise.all([
      sherd(['sample-data', '--out', 'a', '--count', '11', '--size', '16'], { cwd }),
      sherd(['sample-data', '--out', '.', '--count', '10', '--size', '16'], { cwd }),
    ])
    expect([other.status, other.stderr]).toEqual([
      1,
      expect.stringMatching(/holds another sample set.*"count":11.*"count":10/),
    ])
    expect([inUse.status, inUse.stderr]).toEqual([1, expect.stringMatching(/is not empty/)])
    expect(readdirSync(cwd)).toEqual(['a'])
  })
})
