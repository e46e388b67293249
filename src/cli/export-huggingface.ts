/** `sherd export huggingface`: a folder that transformers loads. */
import { type Command, Option } from 'commander'
import type { HuggingfaceTask } from '../run/export-huggingface.ts'
import { addFolderOptions, type FolderFlags, requestOf, tellExported } from './export-folder.ts'

const choices: readonly HuggingfaceTask[] = ['pretraining', 'encoder', 'classification']

interface Flags extends FolderFlags {
  readonly task?: HuggingfaceTask
}

export function addExportHuggingface(parent: Command): void {
  addFolderOptions(
    parent.command('huggingface').description("write a folder for Hugging Face's transformers"),
  )
    .addOption(
      new Option('--task <which>', 'what it is for (default: what the weights are)').choices(choices),
    )
    .action(async (flags: Flags) => {
      const { exportHuggingface } = await import('../run/export-huggingface.ts')
      const request = await requestOf(flags)
      tellExported(exportHuggingface({ ...request, out: flags.out, task: flags.task }), flags)
    })
}
