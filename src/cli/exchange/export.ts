/** `sherd export`: models for other programs. */
import type { Command } from 'commander'
import { addExportHuggingface } from './export-huggingface.ts'
import { addExportOnnx } from './export-onnx.ts'
import { addExportTimm } from './export-timm.ts'

export function addExport(root: Command): void {
  const group = root.command('export').description('write a model for other programs')
  for (const add of [addExportOnnx, addExportHuggingface, addExportTimm]) add(group)
}
