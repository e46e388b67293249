import { expect, it } from 'vitest'
import { tensor } from '../../src/tensor/tensor.ts'
import { upload, withUploads } from '../../src/tensor/uploads.ts'

it('shows what is sent to the inner one first, and lets the outer one send it', () => {
  const seen: string[] = []
  const named =
    (name: string): Parameters<typeof withUploads>[0] =>
    (send, bytes) => {
      seen.push(`${name} ${[...(bytes() as Uint8Array)]}`)
      return send()
    }
  const made = tensor([1], [1])
  const send = () => {
    seen.push('sent')
    return made
  }
  const bytes = () => Uint8Array.of(7)
  const result = withUploads(named('outer'), () => withUploads(named('inner'), () => upload(send, bytes)))
  expect(result).toBe(made)
  expect(seen).toEqual(['inner 7', 'outer 7', 'sent'])
  expect(upload(send, bytes)).toBe(made)
  expect(seen.length).toBe(4)
})
