/** `sherd export onnx`: an encoder as graphs for ONNX Runtime. */
import { type Command, Option } from 'commander'
import type { ExportPrecision } from '../export/precision.ts'
import type { Exported } from '../run/export-onnx.ts'
import { addModelOptions, encoderOf, type ModelFlags } from './encoder-options.ts'
import { print, printJson } from './output.ts'

interface Flags extends ModelFlags {
  readonly out: string
  readonly precision: readonly ExportPrecision[]
  readonly images?: string
  readonly json?: boolean
}

const choices: readonly ExportPrecision[] = ['fp32', 'fp16', 'int8']

export function addExportOnnx(root: Command): void {
  addModelOptions(
    root.command('onnx').description('write the encoder for ONNX Runtime, compared with LibTorch'),
  )
    .requiredOption('--out <dir>', 'folder to write encoder.onnx to')
    .addOption(
      new Option('--precision <which...>', 'a file for each').choices(choices).default(['fp32'], 'fp32'),
    )
    .option('--images <dir>', 'compare on images of this folder, besides random ones')
    .option('--json', 'print the result as JSON, a line for each file')
    .action(runExport)
}

async function runExport({ out, precision, images, ...flags }: Flags): Promise<void> {
  const { exportOnnx } = await import('../run/export-onnx.ts')
  const encoder = await encoderOf({ ...flags, device: 'cpu' }, images)
  for await (const exported of exportOnnx({ encoder, out, images, precisions: [...new Set(precision)] }))
    if (flags.json) printJson(exported)
    else print(describe(exported))
}

function describe({ file, bytes, comparisons, speed }: Exported): string {
  const { onnx, libtorch, batch } = speed
  return [
    `${file}: ${(bytes / 1e6).toFixed(1)} MB`,
    ...comparisons.map(
      ({ samples, count, batches, largest, cosine }) =>
        `  ${count} ${samples === 'random' ? 'random samples' : 'images'} in batches of ${[...new Set(batches)].join(', ')}: ` +
        `largest difference ${largest.toExponential(2)}, smallest cosine ${cosine.toFixed(6)}`,
    ),
    `  ${onnx.toFixed(1)} images/s; LibTorch in float32 ${libtorch.toFixed(1)} (batches of ${batch})`,
  ].join('\n')
}
