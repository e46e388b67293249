/** Writes adapters as PEFT does: under the names of the modules that they adapt, those of timm, or of transformers 5 where the base is its. */
import { dirname, join } from 'node:path'
import type { StoredArray } from '../checkpoint/arrays.ts'
import { writeWeights } from '../checkpoint/weights-file.ts'
import { SherdError } from '../errors.ts'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { filled, rowOfOurs } from '../import/layouts/layout.ts'
import { type LayoutName, layouts } from '../import/layouts.ts'
import { type Adaptation, adaptedIn, adaptersOf, isAdapter } from '../model/adapt.ts'
import type { Parameters } from '../model/parameters.ts'
import { toFloats } from '../tensor/tensor.ts'
import { ADAPTER_KEY, type AdapterFacts, adapterFiles, isStack, PREFIX, peftTypes } from './adapter-folder.ts'
import { sealOfWeights } from './found-weights.ts'
import type { OpenedEncoder } from './open-encoder.ts'

/** Where the blocks of a model are in transformers 5, and how it calls what stands in them. */
interface NamesOf5 {
  readonly blocks: string
  readonly attention: string
  readonly out: string
  readonly mlp: readonly [first: string, second: string]
}
const usual: NamesOf5 = { blocks: 'layers', attention: 'attention', out: 'o_proj', mlp: ['fc1', 'fc2'] }
const clip: NamesOf5 = { ...usual, blocks: 'encoder.layers', attention: 'self_attn', out: 'out_proj' }
const namesOf5: Readonly<Partial<Record<LayoutName, NamesOf5>>> = {
  huggingface: usual,
  'huggingface-dinov2': { ...usual, blocks: 'encoder.layer' },
  'huggingface-dinov3': { ...usual, blocks: 'model.layer', mlp: ['up_proj', 'down_proj'] },
  'huggingface-dinov3-gate': { ...usual, blocks: 'model.layer' },
  'huggingface-clip': clip,
  'huggingface-siglip': clip,
  'huggingface-naflex': clip,
}

/** Their modules for one of ours, which hold its rows one behind the other. */
function theirModules(module: string, layout: LayoutName | undefined): readonly string[] {
  const [, block, part] = module.match(/^blocks\.(\d+)\.(.+)$/) ?? []
  const names = layout && namesOf5[layout]
  if (!layout || part === undefined) return [module]
  if (!names) {
    const row = rowOfOurs(layouts[layout], `${module}${WEIGHT}`)?.row
    if (!row || !isStack(row)) return [module]
    return row.theirs.map((name) => filled(name, block!).slice(0, -WEIGHT.length))
  }
  const { blocks, attention, out, mlp } = names
  const of = (folder: string, ...parts: string[]) =>
    parts.map((each) => `${blocks}.${block}.${folder}.${each}`)
  const table: Readonly<Record<string, readonly string[]>> = {
    'attn.qkv': of(attention, 'q_proj', 'k_proj', 'v_proj'),
    'attn.proj': of(attention, out),
    'mlp.fc1': of('mlp', mlp[0]),
    'mlp.fc2': of('mlp', mlp[1]),
    'mlp.w12': of('mlp', 'gate_proj', 'up_proj'),
    'mlp.w1': of('mlp', 'gate_proj'),
    'mlp.w2': of('mlp', 'up_proj'),
    'mlp.w3': of('mlp', 'down_proj'),
  }
  return table[part] ?? [module]
}

const WEIGHT = '.weight'

const floats = (values: Parameters, name: string): StoredArray & { readonly data: Float32Array } => {
  const value = values.get(name)!
  return { dtype: 'float32', shape: value.shape, data: toFloats(value) }
}

/** Ends of the names, by which PEFT finds them: `qkv` alone would be found in other places, too. */
const endOf = (module: string): string => module.split('.').slice(-2).join('.')

export interface SavedAdapter extends Omit<AdapterFacts, 'base' | 'preparation'> {
  readonly adapt: Adaptation
  /** What was trained: adapters or biases, and the parameters of a head. */
  readonly learned: Parameters
}

/** Throws `USAGE` where there would be no adapter to save, or nothing that it is of. */
export function expectAdapts(
  path: string,
  { found }: Pick<OpenedEncoder, 'found'>,
  adapt: Adaptation = { kind: 'none' },
): void {
  if (adapt.kind !== 'none' && (found?.files.length ?? 0) > 0) return
  throw new SherdError(
    'USAGE',
    `${dirname(path)} would hold an adapter: that is trained with --lora-rank or --bitfit, on an encoder that lies in files. The whole model is saved as a .safetensors file.`,
  )
}

/** Writes to a path that ends in `adapter_model.safetensors`, and the configuration beside it. Throws `USAGE` and `RUN`. */
export function saveAdapter(
  path: string,
  { origin, found }: Pick<OpenedEncoder, 'origin' | 'found'>,
  { adapt, learned, ...facts }: SavedAdapter,
): void {
  expectAdapts(path, { ...(found && { found }) }, adapt)
  const { files, layout, preparation } = found!
  const names = layout && namesOf5[layout]
  const tensors = new Map<string, StoredArray>()
  const modules: string[] = []
  for (const weight of adaptedIn(learned.keys())) {
    const [a, b] = adaptersOf(weight).map((name) => floats(learned, name)) as [StoredArray, StoredArray]
    const parts = theirModules(weight.slice(0, -WEIGHT.length), layout)
    const rows = b.shape[0]! / parts.length
    const each = rows * b.shape[1]!
    for (const [i, module] of parts.entries()) {
      const data = (b.data as Float32Array).slice(i * each, (i + 1) * each)
      const [nameA, nameB] = adaptersOf(`${PREFIX}${module}.weight`)
      tensors.set(nameA!, a)
      tensors.set(nameB!, { dtype: 'float32', shape: [rows, b.shape[1]!], data })
      modules.push(module)
    }
  }
  const others = [...learned.keys()].filter((name) => !isAdapter(name))
  for (const name of others) tensors.set(PREFIX + name, floats(learned, name))
  const beside = [...new Set(others.map((name) => name.slice(0, name.lastIndexOf('.'))))]
  const config = {
    peft_type: peftTypes[adapt.kind as keyof typeof peftTypes],
    task_type: null,
    base_model_name_or_path: origin.path,
    inference_mode: true,
    ...(adapt.kind === 'lora' && {
      ...{ r: adapt.rank, lora_alpha: adapt.alpha, lora_dropout: 0, bias: 'none', init_lora_weights: true },
      ...{ use_rslora: false, use_dora: false, fan_in_fan_out: false },
      target_modules: [...new Set(modules.map(endOf))].sort(),
      // transformers has no modules of these names
      modules_to_save: names || beside.length === 0 ? null : beside,
    }),
  }
  makeFolder(dirname(path))
  const seal = sealOfWeights({ files })
  writeWeights(path, tensors, {
    [ADAPTER_KEY]: JSON.stringify({
      base: seal,
      ...(preparation && { preparation }),
      ...facts,
    } satisfies AdapterFacts),
  })
  writeWhole(join(dirname(path), adapterFiles.config), `${JSON.stringify(config, null, 2)}\n`)
}
