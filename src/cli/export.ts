/** `sherd export`: models for other programs. */
import type { Command } from 'commander'
import { addExportOnnx } from './export-onnx.ts'

export function addExport(root: Command): void {
  const group = root.command('export').description('write a model for other programs')
  addExportOnnx(group)
}
