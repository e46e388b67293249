/** `sherd export`: models for other programs. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { addExportHuggingface } from './export-huggingface.ts'
import { addExportOnnx } from './export-onnx.ts'
import { addExportTimm } from './export-timm.ts'

export function addExport(root: Command): void {
  const group = describeCommand(root.command('export'), {
    group: 'Exchange models',
    page: 'export.md',
    examples: [
      'sherd export onnx --run runs/photos --out export  # for ONNX Runtime, and for "sherd serve"',
      'sherd export huggingface --run runs/photos --out folder  # for transformers and transformers.js',
      'sherd export timm --run runs/photos --out folder  # for timm',
    ],
  }).description('write a model for other programs')
  for (const add of [addExportOnnx, addExportHuggingface, addExportTimm]) add(group)
}
