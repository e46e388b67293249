import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exportedFile } from '../../src/export/exported-file.ts'

it('finds the most precise file of a graph in an export folder, and leaves other paths as they are', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sherd-exported-'))
  try {
    for (const name of ['encoder-int8.onnx', 'encoder-fp16.onnx', 'classifier.onnx', 'classifier-fp16.onnx'])
      writeFileSync(join(dir, name), '')
    expect(exportedFile(dir, 'encoder')).toBe(join(dir, 'encoder-fp16.onnx'))
    expect(exportedFile(dir, 'classifier')).toBe(join(dir, 'classifier.onnx'))
    expect(exportedFile(dir, 'segmenter')).toBe(dir)
    expect(exportedFile(join(dir, 'classifier.onnx'), 'encoder')).toBe(join(dir, 'classifier.onnx'))
    expect(exportedFile('random', 'encoder')).toBe('random')
    mkdirSync(join(dir, 'run'))
    expect(exportedFile(join(dir, 'run'), 'encoder')).toBe(join(dir, 'run'))
  } finally {
    rmSync(dir, { recursive: true })
  }
})
