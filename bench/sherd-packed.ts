/** sherd's crops from packed images on some threads as a program of rounds; the counterpart of `peers/decode.py`. */

import { bytesOfFields, openFields } from '../src/prepare/fields.ts'
import { sampleOrder } from '../src/prepare/loader/sample-order.ts'
import { openReader } from '../src/prepare/open-reader.ts'
import { sampleReader } from '../src/prepare/sample-reader.ts'
import { skipLedger } from '../src/prepare/skipped.ts'
import { fieldsOfViews } from '../src/prepare/view-spec.ts'
import { openSource } from '../src/source/open.ts'
import { answerRounds } from './rounds.ts'

const BATCH = 50

const { dir, size, threads } = JSON.parse(process.argv[2] ?? '{}') as {
  dir: string
  size: number
  threads: number
}
const source = await openSource(dir)
const read = sampleReader(
  { reader: openReader(source, threads), files: source.files },
  {
    ...{ height: size, width: size, channels: 3, crop: 'random', scale: [0.2, 1], ratio: [3 / 4, 4 / 3] },
    ...{ flip: true, seed: 0, minSide: 16, maxPixels: 1e8 },
  },
  skipLedger({ files: source.files.length, maxShare: 0 }, () => {}),
)
const order = sampleOrder({ size: source.files.length, seed: 0 })
const specs = fieldsOfViews({ image: { kind: 'crop', count: 1, size: [size, size] } }, { channels: 3 })
const { fields } = openFields(specs, BATCH, new SharedArrayBuffer(bytesOfFields(specs, BATCH)))
let position = 0

await answerRounds<{ images: number }>({ ready: true }, async ({ images }) => {
  const started = performance.now()
  for (let done = 0; done < images; done += BATCH)
    await read(
      Array.from({ length: BATCH }, () => order(position++)),
      fields,
      0,
    )
  return { seconds: (performance.now() - started) / 1000, images }
})
