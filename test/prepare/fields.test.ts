/** Fields that no source has yet, through the loader's own filler: boxes, token ids, waveforms, and samples that lack a partner. */
import { expect, it } from 'vitest'
import { bytesOfFields, type FieldSpecs, openFields, readFields } from '../../src/prepare/fields.ts'
import { batchFiller } from '../../src/prepare/loader/batch-filler.ts'

const specs: FieldSpecs = {
  image: { type: 'uint8', count: 2, shape: [1, 3] },
  'image.boxes': { type: 'float32', count: 2, shape: [4], mostRows: 3 },
  text: { type: 'int32', count: 1, shape: [5], isOptional: true },
  sound: { type: 'float32', count: 1, shape: [2, 4], isOptional: true },
  length: { type: 'float64', count: 1, shape: [] },
}
const B = 3
const boxesOf = (copy: number, index: number) =>
  Array.from({ length: (index + copy) % 4 }, (_, row) => [index, copy, row, 0.5])

/** Batches of the made-up samples 0, 1, 2 … that a filler makes of some buffers, `together` at once. */
async function filled(batches: number, together: number, hasText = (index: number) => index % 2 === 0) {
  const bytes = bytesOfFields(specs, B)
  const buffers = Array.from({ length: batches }, () => new SharedArrayBuffer(bytes))
  for (const buffer of buffers) new Uint8Array(buffer).fill(170) // what an earlier batch left
  const ready: number[] = []
  let finish: (error?: unknown) => void = () => {}
  const done = new Promise((resolve) => {
    finish = resolve
  })
  const filler = batchFiller({
    async read(addresses, fields, first) {
      for (const [i, { index }] of addresses.entries()) {
        const b = first + i
        if (index % 2 === 1) await new Promise((resolve) => setImmediate(resolve)) // out of order
        for (const copy of [0, 1]) {
          fields.image!.at(copy, b).set([index, copy, 7])
          fields['image.boxes']!.put(copy, b, boxesOf(copy, index).flat())
        }
        if (hasText(index)) fields.text!.at(0, b).set([101, index, 102, 0, 0])
        else fields.text!.leaveOut(b)
        fields.sound!.leaveOut(b)
        fields.length!.at(0, b).set([index / 4])
      }
      return addresses.map(({ index }) => index)
    },
    order: (position) => ({ epoch: 0, index: position }),
    ...{ firstPosition: 0, batchSize: B, specs, together, atOnce: 2, buffers },
    onBatch: ({ buffer }) => {
      ready.push(buffer)
      if (ready.length === batches) finish()
    },
    onFailure: finish,
  })
  for (const buffer of buffers.keys()) filler.free(buffer)
  const error = await done
  await filler.stop()
  if (error) throw error
  return ready.map((buffer) => readFields(specs, B, buffers[buffer]!))
}

it('carries ragged rows, token ids and missing partners, whatever is read together', async () => {
  for (const together of [1, 2, 3]) {
    const [first, second] = await filled(2, together)
    const { image, 'image.boxes': boxes, text, sound, length } = second! // samples 3, 4 and 5
    expect(image!.shape).toEqual([2, B, 1, 3])
    expect([...image!.data]).toEqual([3, 0, 7, 4, 0, 7, 5, 0, 7, 3, 1, 7, 4, 1, 7, 5, 1, 7])
    // 3, 0 and 1 boxes of the first copies, then 0, 1 and 2.
    expect([...boxes!.offsets!]).toEqual([0, 3, 3, 4, 4, 5, 7])
    expect(boxes!.shape).toEqual([7, 4])
    expect([...boxes!.data]).toEqual(
      [0, 1].flatMap((copy) => [3, 4, 5].flatMap((i) => boxesOf(copy, i).flat())),
    )
    expect([...text!.present!]).toEqual([0, 1, 0])
    expect([...text!.data]).toEqual([0, 0, 0, 0, 0, 101, 4, 102, 0, 0, 0, 0, 0, 0, 0])
    expect(sound).toBeNull()
    expect(length).toEqual({ data: Float64Array.of(0.75, 1, 1.25), shape: [1, B], present: null })
    expect([...first!.text!.present!]).toEqual([1, 0, 1])
  }
})

it('says nothing of presence where no sample lacks the field', async () => {
  const [only] = await filled(1, 3, () => true)
  expect(only!.text!.present).toBeNull()
})

it('refuses more rows than there is room for, parts of rows, and to leave out what must be there', () => {
  const { fields } = openFields(specs, B, new SharedArrayBuffer(bytesOfFields(specs, B)))
  const boxes = fields['image.boxes']!
  expect(() => boxes.put(0, 0, new Float32Array(16))).toThrow(
    /image.boxes: expected at most 3 rows of 4 numbers, got 16 numbers. Raise the field's mostRows/,
  )
  expect(() => boxes.put(0, 0, [1, 2, 3])).toThrow(/got 3 numbers/)
  expect(() => fields.image!.put(0, 0, [1, 2, 3])).toThrow(/at most 0 rows/)
  expect(() => fields.length!.leaveOut(0)).toThrow(/length is not optional/)
})
