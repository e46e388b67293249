/** `sherd export huggingface`: a folder that transformers and transformers.js load. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { SherdError } from '../../errors.ts'
import type { HuggingfaceTask } from '../../export/export-huggingface.ts'
import type { HuggingfaceDtype } from '../../export/huggingface-onnx.ts'
import { describeCommand } from '../help.ts'
import { addFolderOptions, exportFolder, type FolderFlags } from './export-folder.ts'
import { pushFolder } from './push-folder.ts'

const choices: readonly HuggingfaceTask[] = ['pretraining', 'encoder', 'classification']
const dtypes: readonly HuggingfaceDtype[] = ['fp32', 'fp16', 'q8']

interface Flags extends FolderFlags {
  readonly task?: HuggingfaceTask
  /** `true`: without names; `false`: `--no-onnx`. */
  readonly onnx?: readonly HuggingfaceDtype[] | boolean
  readonly processor: boolean
  readonly report?: string[]
  readonly license?: string
  readonly push?: string
  readonly private?: boolean
}

export function addExportHuggingface(parent: Command): void {
  addFolderOptions(
    describeCommand(parent.command('huggingface'), {
      page: 'import.md#export',
      examples: [
        'sherd export huggingface --run runs/photos --out folder  # what the weights are',
        'sherd export huggingface --run runs/photos --out folder --report reports/knn --license mit --push me/photos  # and to the hub',
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
    .option('--report <path...>', 'reports of "sherd evaluate" on these weights, for the model card')
    .option('--license <id>', 'for the model card, as the hub names it, such as apache-2.0', license)
    .option('--push <owner/name>', 'upload the folder to the Hugging Face hub, with the token of HF_TOKEN')
    .option('--private', 'where --push makes a new repository: for its owner alone')
    .action(async (flags: Flags) => {
      const { exportHuggingface } = await import('../../export/export-huggingface.ts')
      const { sealsOfReports } = await import('../../export/card-scores.ts')
      const { task, report: reports, license } = flags
      if (flags.push !== undefined) (await import('../../hub/push.ts')).expectPush(flags.push)
      else if (flags.private) throw new SherdError('USAGE', '--private is of --push: give both.')
      const withoutProcessor = !flags.processor
      const onnx = wanted(flags)
      const made = await exportFolder('export huggingface', flags, {
        options: {
          task,
          onnx,
          ...(withoutProcessor && { withoutProcessor }),
          license,
          reports: reports && sealsOfReports(reports),
        },
        write: (request, out, watch) =>
          exportHuggingface({ ...request, ...watch, out, task, onnx, withoutProcessor, reports, license }),
      })
      if (flags.push !== undefined) await pushFolder(made, flags.push, flags)
    })
}

function license(text: string): string {
  if (/^[\w.+-]{1,60}$/.test(text)) return text
  throw new InvalidArgumentError('Expected a name such as apache-2.0, mit or cc-by-4.0.')
}

function wanted({ onnx }: Flags): readonly HuggingfaceDtype[] | undefined {
  if (onnx === undefined) return undefined
  if (typeof onnx === 'boolean') return onnx ? ['fp32'] : []
  return [...new Set(onnx)]
}
