/**
 * Pictures of `sherd look` for docs/images, by an encoder of square RGB images:
 *   node dist/scripts/look/pictures.js MODEL [OUT]
 * What is in the docs was drawn by the run of the command that docs/look.md names.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../../src/package-root.ts'
import { openEncoder } from '../../src/weights/open-encoder.ts'
import { writeDocPictures } from './doc-pictures.ts'

/** Patches of a side: more than in training, so that the pictures are not of a few squares. */
const SIDE = 16

const { positionals } = parseArgs({ allowPositionals: true })
const [model, out = join(packageRoot(), 'docs/images')] = positionals
if (model) {
  mkdirSync(out, { recursive: true })
  const own = await openEncoder({ model, device: 'cpu' })
  const [tall, wide] = own.dimensions.patchSize
  const encoder = await openEncoder({ model, device: 'cpu', imageSize: [SIDE * tall, SIDE * wide] })
  for (const [name, bytes] of await writeDocPictures(encoder, out, [7, 6]))
    console.log(`${join(out, name)}: ${Math.round(bytes / 1000)} kB`)
} else {
  console.error('Which model? node dist/scripts/look/pictures.js MODEL [OUT]')
  process.exitCode = 2
}
