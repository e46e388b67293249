// Digests of the tensors in safetensors files. A reader of its own, so that a fault in sherd's cannot hide one in what it reads.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'

const short = (hash) => hash.digest('hex').slice(0, 16)

/** Name → digest of type, shape and bytes, for every tensor of the files; the names begin with that of the file. */
export async function tensorDigests(files) {
  const found = {}
  for (const file of files) {
    const bytes = await readFile(file)
    const end = 8 + Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.subarray(8, end).toString())
    for (const [name, entry] of Object.entries(header)) {
      if (name === '__metadata__') continue
      const {
        dtype,
        shape,
        data_offsets: [from, to],
      } = entry
      const hash = createHash('sha256')
        .update(`${dtype} ${shape.join()} `)
        .update(bytes.subarray(end + from, end + to))
      found[`${basename(file, '.safetensors')} ${name}`] = short(hash)
    }
  }
  return found
}

/** One digest of all of them; the order in the files does not count. */
export const digestOf = (tensors) => {
  const hash = createHash('sha256')
  for (const name of Object.keys(tensors).sort()) hash.update(`${name} ${tensors[name]}\n`)
  return short(hash)
}

/** Of numbers, as the 64 bits that they are. */
export const digestOfNumbers = (numbers) =>
  short(createHash('sha256').update(Buffer.from(Float64Array.from(numbers).buffer)))
