/** sherd's decode-and-crop on one core as a program of rounds; the counterpart of `peers/decode.py`. */
import { join } from 'node:path'
import { crops } from '../src/prepare/crop.ts'
import { configureDecoder, decodeImage } from '../src/prepare/decode/decode.ts'
import { draws } from '../src/random/draws.ts'
import { openImageFolder } from '../src/source/image-folder.ts'
import { answerRounds } from './rounds.ts'

const { dir, size } = JSON.parse(process.argv[2] ?? '{}') as { dir: string; size: number }
const { files } = await openImageFolder(dir)
configureDecoder()
const target = { width: size, height: size }
const out = new Uint8Array(size * size * 3)
let position = 0

async function decodeNext(): Promise<void> {
  const index = position % files.length
  const epoch = Math.floor(position++ / files.length)
  const draw = draws({ seed: 0, stream: 'crop', epoch, index })
  await decodeImage(
    join(dir, files[index]!),
    {
      ...{ target, channels: 3, minSide: 16, maxPixels: 1e8 },
      place: (image) => ({
        box: crops.random(image, { scale: [0.2, 1], ratio: [3 / 4, 4 / 3], target }, draw),
        flip: draw.uniform() < 0.5,
      }),
    },
    out,
  )
}

await answerRounds<{ images: number }>({ ready: true }, async ({ images }) => {
  const started = performance.now()
  for (let i = 0; i < images; i++) await decodeNext()
  return { seconds: (performance.now() - started) / 1000, images }
})
