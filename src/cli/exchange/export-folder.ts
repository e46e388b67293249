/** Options and output that the exports of folders share. */
import { existsSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import type { Command } from 'commander'
import type { Config } from '../../config/schema.ts'
import type { ExportedFolder } from '../../export/export-huggingface.ts'
import type { FolderWatch } from '../../export/huggingface-onnx.ts'
import { sealOf } from '../../files/durable.ts'
import { makeFolder } from '../../files/write-whole.ts'
import { presetConfig } from '../encoder-options.ts'
import { modelOption } from '../help.ts'
import { configOption, setOption } from '../options.ts'
import { noteThere, overwriteOption } from '../out-options.ts'
import { print, printJson, warn } from '../output.ts'
import { counting, endProgress, phases } from '../progress.ts'
import { stopSignal } from '../signals.ts'
import { describe } from './export-onnx.ts'
import { modelSeal } from './model-seal.ts'

export interface FolderFlags {
  readonly model: string
  readonly out: string
  readonly preset?: string
  readonly config?: string
  readonly set: string[]
  readonly overwrite?: boolean
  readonly json?: boolean
}

export const addFolderOptions = (command: Command): Command =>
  command
    .addOption(modelOption())
    .requiredOption('--out <dir>', 'folder to write')
    .option('--preset <name>', 'what the model is, where --model does not say it')
    .addOption(configOption())
    .addOption(setOption('override one key of the preset; may be repeated'))
    .addOption(overwriteOption())
    .option('--json', 'print the result as JSON')

async function requestOf({
  model,
  preset,
  config: file,
  set,
}: FolderFlags): Promise<{ model: string; config?: Config; set?: readonly string[] }> {
  const config = await presetConfig({ preset, config: file, set, device: 'auto' })
  return { model, ...(config && { config }), ...(!config && set.length > 0 && { set }) }
}

/** Writes a folder beside its name and moves it there when it is complete, or finds that it is there. */
export async function exportFolder(
  command: string,
  flags: FolderFlags,
  {
    options,
    write,
  }: {
    readonly options: Readonly<Record<string, unknown>>
    readonly write: (
      request: { model: string; config?: Config; set?: readonly string[] },
      dir: string,
      watch: FolderWatch,
    ) => Promise<ExportedFolder>
  },
): Promise<{ readonly out: string; readonly files: readonly string[]; readonly architecture: string }> {
  const signal = stopSignal('stopping after this batch; graphs that are finished are kept')
  const { claimed } = await import('../../files/claim.ts')
  const request = await requestOf(flags)
  const out = resolve(flags.out)
  const { preset, set, config } = flags
  const made = {
    command,
    options: { ...options, preset, set: set.length > 0 ? set : undefined },
    inputs: { model: await modelSeal(request), ...(config && { config: sealOf(config).sha256 }) },
  }
  const isResult = (dir: string) =>
    ['config.json', 'model.safetensors'].every((name) => existsSync(join(dir, name)))
  const place = { out, kind: 'folder', made, overwrite: flags.overwrite, isResult, continues: true } as const
  const { result, wasThere } = await claimed<ExportedFolder>(place, async (draft) => {
    const dir = draft.fileFor()
    const below = (path: string) => relative(dir, path)
    const proofs = join(draft.dir, 'proofs')
    makeFolder(proofs)
    const { files, onnx, ...exported } = await write(request, dir, {
      ...{ proofs, signal, onPhase: phases() },
      onProgress: (file) => counting(`comparing ${basename(file)}`, 'batches'),
    })
    endProgress()
    return {
      ...exported,
      files: files.map(below), // no paths of this machine in a folder that is to be shared
      ...(onnx && { onnx: onnx.map((graph) => ({ ...graph, file: below(graph.file) })) }),
    }
  })
  noteThere(flags.out, { wasThere })
  const { files, onnx, ...exported } = result
  const full = {
    ...{ ...exported, files: files.map((file) => join(out, file)) },
    ...(onnx && { onnx: onnx.map((graph) => ({ ...graph, file: join(out, graph.file) })) }),
  }
  tellExported(full, flags)
  return { out, files: files.map((file) => file.split(sep).join('/')), architecture: exported.architecture }
}

function tellExported({ warnings, ...exported }: ExportedFolder, { json }: FolderFlags): void {
  for (const message of warnings) warn(message)
  if (json) printJson({ kind: 'export', ...exported })
  else {
    print(`${exported.architecture} (${exported.task}): ${exported.files.join(', ')}`)
    for (const graph of exported.onnx ?? []) print(describe(graph))
  }
}
