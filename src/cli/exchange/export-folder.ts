/** Options and output that the exports of folders share. */
import type { Command } from 'commander'
import type { Config } from '../../config/schema.ts'
import type { ExportedFolder } from '../../export/export-huggingface.ts'
import { presetConfig } from '../encoder-options.ts'
import { modelOption } from '../help.ts'
import { configOption, setOption } from '../options.ts'
import { print, printJson, warn } from '../output.ts'
import { describe } from './export-onnx.ts'

export interface FolderFlags {
  readonly model: string
  readonly out: string
  readonly preset?: string
  readonly config?: string
  readonly set: string[]
  readonly json?: boolean
}

export const addFolderOptions = (command: Command): Command =>
  command
    .addOption(modelOption())
    .requiredOption('--out <dir>', 'folder to write')
    .option('--preset <name>', 'what the model is, where --model does not say it')
    .addOption(configOption())
    .addOption(setOption('override one key of the preset; may be repeated'))
    .option('--json', 'print the result as JSON')

export async function requestOf({
  model,
  preset,
  config: file,
  set,
}: FolderFlags): Promise<{ model: string; config?: Config }> {
  const config = await presetConfig({ preset, config: file, set, device: 'auto' })
  return { model, ...(config && { config }) }
}

export function tellExported({ warnings, ...exported }: ExportedFolder, { json }: FolderFlags): void {
  for (const message of warnings) warn(message)
  if (json) printJson({ kind: 'export', ...exported })
  else {
    print(`${exported.architecture} (${exported.task}): ${exported.files.join(', ')}`)
    for (const graph of exported.onnx ?? []) print(describe(graph))
  }
}
