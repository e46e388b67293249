/** `sherd export huggingface`: a folder that transformers and transformers.js load. */
import { type Command, Option } from 'commander'
import type { HuggingfaceTask } from '../../export/export-huggingface.ts'
import type { HuggingfaceDtype } from '../../export/huggingface-onnx.ts'
import { describeCommand } from '../help.ts'
import { addFolderOptions, exportFolder, type FolderFlags } from './export-folder.ts'

const choices: readonly HuggingfaceTask[] = ['pretraining', 'encoder', 'classification']
const dtypes: readonly HuggingfaceDtype[] = ['fp32', 'fp16', 'q8']

interface Flags extends FolderFlags {
  readonly task?: HuggingfaceTask
  /** `true`: without names; `false`: `--no-onnx`. */
  readonly onnx?: readonly HuggingfaceDtype[] | boolean
  readonly processor: boolean
}

export function addExportHuggingface(parent: Command): void {
  addFolderOptions(
    describeCommand(parent.command('huggingface'), {
      page: 'import.md#export',
      examples: [
        'sherd export huggingface --run runs/photos --out folder  # what the weights are',
        'sherd export huggingface --model classifier.safetensors --out folder --onnx fp32 q8  # a classifier, also for browsers',
      ],
    }).description("write a folder for Hugging Face's transformers"),
  )
    .addOption(
      new Option('--task <which>', 'what it is for (default: what the weights are)').choices(choices),
    )
    .addOption(
      new Option(
        '--onnx [dtype...]',
        'graphs for transformers.js, in onnx/ (default: fp32 where LibTorch is found)',
      ).choices(dtypes),
    )
    .option('--no-onnx', 'no graphs')
    .option(
      '--no-processor',
      'no preprocessor_config.json, where transformers prepares no images as the model takes them',
    )
    .action(async (flags: Flags) => {
      const { exportHuggingface } = await import('../../export/export-huggingface.ts')
      const { task } = flags
      const withoutProcessor = !flags.processor
      const onnx = wanted(flags)
      await exportFolder('export huggingface', flags, {
        options: { task, onnx, ...(withoutProcessor && { withoutProcessor }) },
        write: (request, out, watch) =>
          exportHuggingface({ ...request, ...watch, out, task, onnx, withoutProcessor }),
      })
    })
}

function wanted({ onnx }: Flags): readonly HuggingfaceDtype[] | undefined {
  if (onnx === undefined) return undefined
  if (typeof onnx === 'boolean') return onnx ? ['fp32'] : []
  return [...new Set(onnx)]
}
