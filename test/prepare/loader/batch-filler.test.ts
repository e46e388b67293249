import { describe, expect, it } from 'vitest'
import { batchFiller, type FilledBatch } from '../../../src/prepare/loader/batch-filler.ts'
import type { SampleAddress } from '../../../src/prepare/loader/sample-order.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A filler of 2-byte samples at 3 a batch, whose reads the test finishes by hand. */
function rig({ threads, buffers }: { threads: number; buffers: number }) {
  const started: number[] = []
  const finish = new Map<number, (error?: Error) => void>()
  const batches: FilledBatch[] = []
  const failures: unknown[] = []
  const memory = Array.from({ length: buffers }, () => new SharedArrayBuffer(8))
  const filler = batchFiller({
    read: (addresses: readonly SampleAddress[], fields, row) =>
      new Promise((resolve, reject) => {
        const { index } = addresses[0]!
        started.push(index)
        finish.set(index, (error) => {
          fields.image!.at(0, row).fill(index)
          if (error) reject(error)
          else resolve([index])
        })
      }),
    order: (position) => ({ epoch: 7, index: position }),
    firstPosition: 10,
    batchSize: 3,
    specs: { image: { type: 'uint8', count: 1, shape: [2] } },
    together: 1,
    atOnce: threads,
    buffers: memory,
    onBatch: (batch) => batches.push(batch),
    onFailure: (error) => failures.push(error),
  })
  const done = async (...indices: number[]) => {
    for (const index of indices) finish.get(index)?.()
    await turn()
  }
  return { filler, started, finish, batches, failures, memory, done }
}

describe('batchFiller', () => {
  it('hands batches over in order, whatever the order in which samples are finished', async () => {
    const { filler, batches, memory, done } = rig({ threads: 6, buffers: 2 })
    filler.free(1)
    filler.free(0)
    await done(15, 14, 13, 12, 11)
    expect(batches).toEqual([])
    await done(10)
    expect(batches.map((batch) => [batch.buffer, ...batch.indices, ...batch.epochs])).toEqual([
      [1, 10, 11, 12, 7, 7, 7],
      [0, 13, 14, 15, 7, 7, 7],
    ])
    expect([...new Uint8Array(memory[1]!, 0, 6)]).toEqual([10, 10, 11, 11, 12, 12])
    expect([...new Uint8Array(memory[0]!, 0, 6)]).toEqual([13, 13, 14, 14, 15, 15])
  })

  it('decodes as many samples at once as it has threads', async () => {
    const { filler, started, done } = rig({ threads: 2, buffers: 2 })
    filler.free(0)
    filler.free(1)
    expect(started).toEqual([10, 11])
    await done(11)
    expect(started).toEqual([10, 11, 12])
    await done(12)
    expect(started).toEqual([10, 11, 12, 13])
  })

  it('asks for whole batches where the reader takes them together', async () => {
    const asked: number[][] = []
    const batches: FilledBatch[] = []
    const filler = batchFiller({
      read: async (addresses, fields, row) => {
        asked.push(addresses.map(({ index }) => index))
        for (const [i, { index }] of addresses.entries()) fields.image!.at(0, row + i).fill(index)
        return addresses.map(({ index }) => index + 100)
      },
      order: (position) => ({ epoch: 2, index: position }),
      ...{ firstPosition: 0, batchSize: 3, together: 2, atOnce: 1 },
      specs: { image: { type: 'uint8', count: 1, shape: [1] } },
      buffers: [new SharedArrayBuffer(8)],
      onBatch: (batch) => batches.push(batch),
      onFailure: (error) => expect(error).toBeUndefined(),
    })
    filler.free(0)
    await turn()
    expect(asked).toEqual([[0, 1], [2]])
    expect([...batches[0]!.indices, ...batches[0]!.epochs]).toEqual([100, 101, 102, 2, 2, 2])
  })

  it('goes no further ahead than it has buffers', async () => {
    const { filler, started, batches, done } = rig({ threads: 50, buffers: 3 })
    expect(started).toEqual([])
    filler.free(0)
    filler.free(1)
    expect(started).toEqual([10, 11, 12, 13, 14, 15])
    await done(10, 11, 12, 13, 14, 15)
    expect(batches.length).toBe(2)
    expect(started.length).toBe(6)
    filler.free(batches[0]!.buffer)
    expect(started.slice(6)).toEqual([16, 17, 18])
  })

  it('tells one failure and starts nothing after it', async () => {
    const { filler, started, finish, failures, batches, done } = rig({ threads: 2, buffers: 2 })
    filler.free(0)
    filler.free(1)
    finish.get(10)?.(new Error('bad'))
    await turn()
    finish.get(11)?.(new Error('worse'))
    await done()
    filler.free(0)
    expect(failures).toEqual([new Error('bad')])
    expect(started).toEqual([10, 11])
    expect(batches).toEqual([])
  })

  it('stops when what was started is done', async () => {
    const { filler, started, done } = rig({ threads: 2, buffers: 2 })
    filler.free(0)
    let isStopped = false
    const stopped = filler.stop().then(() => {
      isStopped = true
    })
    await done(10)
    expect(isStopped).toBe(false)
    await done(11)
    await stopped
    expect(started).toEqual([10, 11])
  })
})
