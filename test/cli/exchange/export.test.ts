import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readNpy } from '../../../src/files/npy.ts'
import { writeSampleData } from '../../../src/sample-data/write-scenes.ts'
import { expectClose } from '../../tolerance.ts'
import { inProcess, sherd, tinyModel, workFolder } from '../sherd.ts'

let dir: string
beforeAll(async () => {
  dir = await workFolder()
  await writeSampleData({ dir: join(dir, 'photos'), count: 21, size: 20, seed: 3 })
})

const model = ['--model', 'random', '--preset', 'mae-demo', ...tinyModel()]
const features = (name: string) => {
  const { values } = readNpy(join(dir, name), { dtype: /<f4/, shape: [21, 32] })
  return Array.from(new Float32Array(values.buffer, values.byteOffset, values.length / 4))
}

/** Without the records of what made the files. */
const shownIn = (folder: string) =>
  readdirSync(join(dir, folder))
    .filter((name) => !name.startsWith('.'))
    .sort()

describe('sherd export onnx', () => {
  it('writes the encoder and says how near it is to LibTorch', async () => {
    const { status, stdout, stderr, json } = await inProcess(
      ['export', 'onnx', ...model, '--out', 'out', '--data', 'photos', '--json'],
      { cwd: dir },
    )

    expect([status, stderr]).toEqual([0, ''])
    expect(stdout.trim().split('\n')).toHaveLength(1)
    const [exported] = json()
    expect(exported).toMatchObject({
      ...{ file: join(dir, 'out/encoder.onnx'), precision: 'fp32' },
      bytes: readFileSync(join(dir, 'out/encoder.onnx')).length,
      comparisons: [
        { samples: 'random', count: 8, batches: [1, 2, 5] },
        { samples: 'images', count: 21 },
      ],
    })
    for (const { largest } of exported!.comparisons as { largest: number }[])
      expect(largest).toBeLessThan(1e-4)
    expect(shownIn('out')).toEqual(['encoder.onnx'])
  })

  it('writes smaller files, which must come near enough, too', async () => {
    const { status, json } = await inProcess(
      ['export', 'onnx', ...model, '--out', 'small', '--precision', 'fp16', 'int8', '--json'],
      { cwd: dir },
    )
    expect(status).toBe(0)
    expect(json()).toMatchObject([{ precision: 'fp16' }, { precision: 'int8' }])
    expect(shownIn('small')).toEqual(['encoder-fp16.onnx', 'encoder-int8.onnx'])
  })

  it('writes other graphs, and encoders of any size', async () => {
    const run = (...args: string[]) =>
      inProcess(['export', 'onnx', ...model, '--out', 'more', ...args], { cwd: dir })
    const { status, stdout } = await run(
      '--graphs',
      'autoencoder',
      'encoder',
      '--attention',
      '--dynamic-grid',
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/autoencoder\.onnx: .* MB\n {2}8 random samples in batches of 1, 2, 5: largest/)
    expect(stdout).toMatch(
      /encoder\.onnx: .* MB\n {2}24 random samples in batches of 1, 2, 5 and sizes of 16 × 16, /,
    )
    expect(shownIn('more')).toEqual(['autoencoder.onnx', 'encoder.onnx'])

    const refused = await run('--dynamic-grid', '8')
    expect(refused.status).toBe(1)
    expect(refused.stderr).toContain("at least the model's own 16 × 16 pixels, got 8")
  })

  it('an exported encoder embeds a folder without LibTorch, as the model does with it', async () => {
    const [withIt, without] = await Promise.all([
      inProcess(['embed', 'photos', ...model, '--out', 'with.npy'], { cwd: dir }),
      sherd(['embed', 'photos', '--model', 'out/encoder.onnx', '--out', 'without.npy', '--json'], {
        cwd: dir,
        // Whoever asked for LibTorch would be told that it is not there.
        env: { LIBTORCH: join(dir, 'nowhere'), XDG_CACHE_HOME: join(dir, 'cache') },
      }),
    ])

    expect([withIt.status, without.status, without.stderr]).toEqual([
      0,
      0,
      expect.not.stringMatching(/warning|error/),
    ])
    expect(without.json()).toMatchObject([{ images: 21, width: 32, skipped: 0 }])
    const [expected, made] = [features('with.npy'), features('without.npy')]
    expectClose(made, expected, 1e-5)
    const told = JSON.parse(readFileSync(join(dir, 'without.json'), 'utf8')) as Record<string, unknown>
    expect(told.model).toEqual({ path: join(dir, 'out/encoder.onnx'), step: 0, precision: 'fp32' })
  })

  it('its features are written as safetensors, too', async () => {
    const { status } = await sherd(
      ['embed', 'photos', '--model', 'out/encoder.onnx', '--out', 'both.safetensors'],
      { cwd: dir, env: { LIBTORCH: join(dir, 'nowhere') } },
    )
    expect(status).toBe(0)
    expect(readFileSync(join(dir, 'both.safetensors')).toString('latin1', 8, 400)).toContain('"labels"')
  })

  it.each<[string, string[], number, string]>([
    [
      'an option that the file answers',
      ['--model', 'out/encoder.onnx', '--preset', 'mae-demo'],
      2,
      'leave --preset',
    ],
    ['a file that is none', ['--model', 'none.onnx'], 1, 'none.onnx cannot be read as an ONNX file'],
    ['a file of another program', ['--model', 'other.onnx'], 1, 'does not say how images are read'],
  ])('embedding refuses %s', async (_, args, expected, message) => {
    writeFileSync(join(dir, 'other.onnx'), Uint8Array.of(0x08, 8, 0x3a, 0)) // a version, and an empty graph
    const { status, stderr } = await inProcess(['embed', 'photos', ...args, '--out', 'x.npy'], { cwd: dir })
    expect([status, existsSync(join(dir, 'x.npy'))]).toEqual([expected, false])
    expect(stderr).toContain(message)
  })

  it('what needs weights says that a graph has none', async () => {
    const args = ['evaluate', 'knn', '--model', 'out/encoder.onnx', '--data', 'photos', '--out', 'knn']
    const { status, stderr } = await inProcess(args, { cwd: dir })
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('is an exported graph, and this needs weights'),
    ])
  })

  it('features go to a folder that is made, or are refused before they are computed', async () => {
    const embed = (out: string) =>
      inProcess(['embed', 'photos', '--model', 'out/encoder.onnx', '--out', out], { cwd: dir })
    expect((await embed('new/folder/f.npy')).status).toBe(0)
    expect(existsSync(join(dir, 'new/folder/f.npy'))).toBe(true)
    const { status, stderr } = await embed('other.onnx/f.npy')
    expect([status, stderr]).toEqual([1, expect.stringContaining('there is a file of this name')])
  })
})
