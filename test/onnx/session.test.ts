import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { samplesOf } from '../../src/export/sample-input.ts'
import { onnxParts, writeParts } from '../../src/onnx/onnx-file.ts'
import { openSession } from '../../src/onnx/session.ts'
import { workFolder } from '../export/run-graph.ts'

const twice = {
  ...{ name: 'g', opset: 17, values: [] },
  nodes: [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'], attributes: {} }],
  initializers: [],
  inputs: [{ name: 'x', type: 'float32', shape: [{ batch: 1 }, 2, 1, 2] }],
  outputs: [{ name: 'y', type: 'float32', shape: [{ batch: 1 }, 2, 1, 2] }],
} as const

async function open() {
  const path = join(await workFolder(), 'graph.onnx')
  writeParts(path, onnxParts(twice, {}, '1'))
  return { path, session: await openSession(path, { threads: 1 }) }
}

describe('samples', () => {
  it('of images have their channels before rows', () => {
    const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    const { values, shape } = samplesOf({ pixels, shape: [2, 1, 2, 2] })
    expect([shape, [...values]]).toEqual([
      [2, 2, 1, 2],
      [1, 3, 2, 4, 5, 7, 6, 8],
    ])
  })

  it('of rasters run though they lie in memory that threads share', async () => {
    const shared = new SharedArrayBuffer(32)
    const pixels = new Float32Array(shared)
    pixels.set([1, 2, 3, 4, 5, 6, 7, 8])
    const facts = { times: new Float64Array(2), resolution: new Float64Array(2) }
    const given = samplesOf({ pixels, shape: [2, 1, 2, 1, 2], ...facts })

    const { session } = await open()
    const { y } = await session.run(given, ['y'])
    await session.close()
    expect([y.shape, [...y.values]]).toEqual([
      [2, 2, 1, 2],
      [2, 4, 6, 8, 10, 12, 14, 16],
    ])
  })

  it('of several frames have a dimension for them', () => {
    const facts = { times: new Float64Array(3), resolution: new Float64Array(1) }
    const { shape } = samplesOf({ pixels: new Float32Array(12), shape: [1, 3, 2, 1, 2], ...facts })
    expect(shape).toEqual([1, 3, 2, 1, 2])
  })
})

it('says what it was given when that does not fit', async () => {
  const { path, session } = await open()
  const run = session.run({ values: new Float32Array(6), shape: [1, 3, 1, 2] }, ['y'])
  await expect(run).rejects.toThrow(`${path} cannot be run on float32[1, 3, 1, 2]`)
  await session.close()
})

it('refuses a file that is no graph', async () => {
  const path = join(await workFolder(), 'graph.onnx')
  writeFileSync(path, 'no graph')
  await expect(openSession(path, { threads: 1 })).rejects.toThrow(`${path} cannot be run`)
})
