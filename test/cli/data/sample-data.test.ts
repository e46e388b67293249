import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openImageFolder } from '../../../src/source/image-folder.ts'
import { inProcess, workFolder } from '../sherd.ts'

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
    const first = await inProcess(['sample-data', '--out', 'a', ...args], { cwd })
    expect(first).toMatchObject({ status: 0, stdout: `20 images in 10 classes: ${join(cwd, 'a')}\n` })
    const written = files(join(cwd, 'a'))
    const source = await openImageFolder(join(cwd, 'a'))
    expect([source.files.length, source.classes.length]).toEqual([20, 10])

    const [again, other] = await Promise.all([
      inProcess(['sample-data', '--out', 'a', ...args, '--json'], { cwd }),
      inProcess(['sample-data', '--out', 'b', ...args], { cwd }),
    ])
    expect(again.json()).toEqual([
      { kind: 'sample-data', dir: join(cwd, 'a'), count: 20, classes: source.classes },
    ])
    expect(files(join(cwd, 'a'))).toEqual(written) // not even touched
    expect(other.status).toBe(0)
    const content = (dir: string) => files(dir).map(({ name, bytes }) => [name, bytes])
    expect(content(join(cwd, 'b'))).toEqual(content(join(cwd, 'a')))
  })

  it('does not write into a folder that holds something else', async () => {
    const cwd = await workFolder()
    await inProcess(['sample-data', '--out', 'a', '--count', '10', '--size', '16'], { cwd })
    const [other, inUse] = await Promise.all([
      inProcess(['sample-data', '--out', 'a', '--count', '11', '--size', '16'], { cwd }),
      inProcess(['sample-data', '--out', '.', '--count', '10', '--size', '16'], { cwd }),
    ])
    expect([other.status, other.stderr]).toEqual([
      1,
      expect.stringMatching(/holds another sample set.*"count":11.*"count":10/),
    ])
    expect([inUse.status, inUse.stderr]).toEqual([2, expect.stringMatching(/is no result of this command/)])
    expect(readdirSync(cwd)).toEqual(['a'])
  })

  it('writes satellite images once, in folders of classes or with masks', async () => {
    const cwd = await workFolder()
    const args = ['sample-data', '--kind', 'satellite', '--count', '10', '--size', '16']
    const [stack, bands, masks] = await Promise.all([
      inProcess([...args, '--out', 'stack'], { cwd }),
      inProcess([...args, '--out', 'bands', '--dates', '1', '--layout', 'bands', '--json'], { cwd }),
      inProcess([...args, '--out', 'masks', '--dates', '2', '--masks'], { cwd }),
    ])
    expect(stack).toMatchObject({ status: 0, stdout: `10 places in 8 classes: ${join(cwd, 'stack')}\n` })
    expect(bands.json()).toMatchObject([{ dir: join(cwd, 'bands'), count: 10 }])
    expect(masks.status).toBe(0)
    const names = (dir: string) => files(join(cwd, dir)).map(({ name }) => name)
    expect(names('stack')).toHaveLength(10 * 4 + 2) // the marker, and what made it
    expect(names('bands').filter((name) => name.startsWith('maize/'))).toHaveLength(10)
    expect(names('bands').filter((name) => name.endsWith('_B8A_20m.tif'))).toHaveLength(10)
    expect(names('masks').filter((name) => /^(images|masks)\//.test(name))).toHaveLength(40)
    const written = files(join(cwd, 'stack'))
    expect((await inProcess([...args, '--out', 'stack'], { cwd })).status).toBe(0)
    expect(files(join(cwd, 'stack'))).toEqual(written)
  })

  it.each([
    [['--dates', '2'], /--dates needs --kind satellite/, 2],
    [['--masks'], /--masks needs --kind satellite/, 2],
    [['--layout', 'bands'], /--layout needs --kind satellite/, 2],
    [['--kind', 'radar'], /Allowed choices are scenes, satellite/, 2],
    [['--kind', 'satellite', '--layout', 'bands', '--masks'], /expected the layout "stack"/, 1],
    [['--kind', 'satellite', '--size', '17'], /expected an even size/, 1],
  ])('refuses %j', async (args, message, status) => {
    const cwd = await workFolder()
    const outcome = await inProcess(['sample-data', '--out', 'a', ...args], { cwd })
    expect([outcome.status, outcome.stderr]).toEqual([status, expect.stringMatching(message)])
    expect(readdirSync(cwd)).toEqual([])
  })
})
