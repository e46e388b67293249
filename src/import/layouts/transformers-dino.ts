/** transformers' DINOv2, with and without registers, and DINOv3. */
import { z } from 'zod'
import { SherdError } from '../../errors.ts'
import { type TransformersBlock, transformersBlocks } from './blocks.ts'
import { type Facts, field, readConfig, type Source } from './facts.ts'
import { type Layout, module, type NameRow, outside, type Templates, token } from './layout.ts'
import { type ClassDefaults, transformersFacts } from './transformers-config.ts'

const scales = [1, 2].map((n) => token(`blocks.{i}.ls${n}.gamma`, `layer_scale${n}.lambda1`))
const scalesAt = (blocks: string): NameRow[] =>
  scales.map(({ ours, theirs }) => token(ours[0]!, `${blocks}.{i}.${theirs[0]}`))

const tokens = [
  token('cls_token', 'embeddings.cls_token'),
  token('register_tokens', 'embeddings.register_tokens'),
]
const maskToken = [[/^embeddings\.mask_token$/, 'stands for hidden patches in its pretraining']] as const

const dinov2Block: TransformersBlock = {
  norms: ['norm1', 'norm2'],
  qkv: ['attention.attention.query', 'attention.attention.key', 'attention.attention.value'],
  proj: 'attention.output.dense',
  mlp: [
    ...module('mlp.fc1'),
    ...module('mlp.fc2'),
    ...module('mlp.w12', 'mlp.weights_in'),
    ...module('mlp.w3', 'mlp.weights_out'),
  ],
}

const dinov2 = { family: 'dinov2', activation: 'gelu', epsilon: 1e-6, heads: 12, feature: 'cls' } as const
const dinov2Classes: Readonly<Record<string, ClassDefaults>> = {
  dinov2: { ...dinov2, resampling: 'cubic' },
  dinov2_with_registers: { ...dinov2, resampling: 'cubic-antialias' },
}

const dinov2Schema = z.object({
  use_swiglu_ffn: field.flag,
  qkv_bias: field.flag,
  layerscale_value: z.number().optional(),
  num_register_tokens: z.number().int().min(0).max(4096).optional(),
})

function dinov2Facts(source: Source): Facts {
  const { stated, modelType, ...facts } = transformersFacts(source, dinov2Classes, (config) => {
    const given = readConfig(dinov2Schema, config, `${source.path}, config.json`)
    const hasBias = given.qkv_bias ?? (source.config ? true : undefined)
    return {
      model: {
        ...(hasBias !== undefined && { qkvBias: hasBias ? 'all' : 'none' }),
        ...(source.config &&
          given.use_swiglu_ffn !== undefined && { feedForward: given.use_swiglu_ffn ? 'swiglu' : 'mlp' }),
        layerScale: given.layerscale_value || 1,
      },
    }
  })
  const registers = (source.config as { num_register_tokens?: number } | null)?.num_register_tokens
  const hasRegisters = modelType === 'dinov2_with_registers' || source.has('register_tokens')
  const isGate = facts.model.feedForward === 'swiglu' || source.has('blocks.{i}.mlp.w12.weight')
  const { activation, ...model } = facts.model
  if (isGate && activation !== undefined && activation !== 'silu')
    throw new SherdError(
      'CHECKPOINT',
      `${source.path}, config.json: its gate is of silu in transformers, whatever hidden_act says`,
    )
  return {
    ...facts,
    model: {
      ...(isGate ? model : facts.model),
      resampling: hasRegisters ? 'cubic-antialias' : 'cubic',
    },
    // transformers rounds the width of a gate itself, and has no field for it.
    stated: { ...stated, hidden: undefined, registers: hasRegisters ? (registers ?? 4) : 0 },
  }
}

const dinov3Block: TransformersBlock = {
  norms: ['norm1', 'norm2'],
  qkv: ['attention.q_proj', 'attention.k_proj', 'attention.v_proj'],
  proj: 'attention.o_proj',
  mlp: [],
}
const dinov3Mlp = (pairs: Readonly<Record<string, string>>): NameRow[] =>
  Object.entries(pairs).flatMap(([ours, theirs]) =>
    module(`blocks.{i}.mlp.${ours}`, `layer.{i}.mlp.${theirs}`),
  )

const dinov3Classes: Readonly<Record<string, ClassDefaults>> = {
  dinov3_vit: {
    family: 'dinov3',
    activation: 'gelu',
    epsilon: 1e-5,
    heads: 6,
    resampling: 'cubic',
    feature: 'cls',
  },
}

const dinov3Schema = z.object({
  rope_theta: z.number().positive().optional(),
  rope_parameters: z.object({ rope_theta: z.number().positive().optional() }).nullish(),
  use_gated_mlp: field.flag,
  query_bias: field.flag,
  key_bias: field.flag,
  value_bias: field.flag,
  layerscale_value: z.number().optional(),
  num_register_tokens: z.number().int().min(0).max(4096).optional(),
})

function dinov3Facts(source: Source): Facts {
  const what = `${source.path}, config.json`
  const facts = transformersFacts(source, dinov3Classes, (config) => {
    const given = readConfig(dinov3Schema, config, what)
    const biases = [given.query_bias ?? true, given.key_bias ?? false, given.value_bias ?? true]
      .map(Number)
      .join('')
    const qkvBias = ({ '101': 'qv', '000': 'none', '111': 'all' } as const)[biases]
    if (!qkvBias)
      throw new SherdError(
        'CHECKPOINT',
        `${what}: query_bias, key_bias and value_bias: expected all, those of queries and values, or none`,
      )
    return {
      model: {
        ...(source.config && {
          qkvBias,
          feedForward: given.use_gated_mlp ? ('gated' as const) : ('mlp' as const),
        }),
        layerScale: given.layerscale_value || 1,
      },
      rotaryBase: given.rope_theta ?? given.rope_parameters?.rope_theta ?? 100,
    }
  })
  const { activation, ...model } = facts.model
  const registers = (source.config as { num_register_tokens?: number } | null)?.num_register_tokens
  const isGate = model.feedForward === 'gated'
  // Here the activation is that of the gate, too.
  const isGelu = isGate && activation === undefined
  return {
    ...facts,
    model: {
      ...model,
      ...(isGelu
        ? { activation: 'gelu' as const }
        : activation && activation !== 'silu'
          ? { activation }
          : isGate
            ? {}
            : activation && { activation }),
    },
    stated: { ...facts.stated, ...(source.config && { registers: registers ?? 0 }) },
  }
}

const dinov3 = {
  wrappers: ['dinov3_vit.', ''],
  blocks: 'layer.',
  positions: null,
  decoderPositions: null,
  tables: [],
  unused: maskToken,
  facts: dinov3Facts,
} as const

const isDinov3 = (names: Templates) =>
  names.any(
    ...['q', 'k', 'v', 'o'].flatMap((part) => [
      `layer.{i}.attention.${part}_proj.weight`,
      `layer.{i}.attention.${part}_proj.bias`,
    ]),
  )

const dinov3Rows: readonly NameRow[] = [
  ...module('patch_embed.proj', 'embeddings.patch_embeddings'),
  ...tokens,
  ...scalesAt('layer'),
  ...module('norm'),
  ...transformersBlocks('blocks', 'layer', dinov3Block, 'qv'),
]

export const transformersDinoLayouts = {
  'huggingface-dinov2': {
    title: "Hugging Face's DINOv2",
    wrappers: ['dinov2.', 'dinov2_with_registers.', ''],
    blocks: 'encoder.layer.',
    isOf: (names) =>
      names.any(
        ...['norm1', 'norm2', 'mlp.fc1', 'mlp.weights_in'].flatMap((name) =>
          ['weight', 'bias'].map((kind) => `encoder.layer.{i}.${name}.${kind}`),
        ),
        'encoder.layer.{i}.layer_scale1.lambda1',
      ),
    rows: [
      ...module('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
      ...tokens,
      ...transformersBlocks('blocks', 'encoder.layer', dinov2Block),
      ...scalesAt('encoder.layer'),
      ...module('norm', 'layernorm'),
      ...outside(module('head', 'classifier')),
    ],
    positions: { name: 'embeddings.position_embeddings' },
    decoderPositions: null,
    tables: [],
    unused: maskToken,
    facts: dinov2Facts,
  },
  'huggingface-dinov3-gate': {
    ...dinov3,
    title: "Hugging Face's DINOv3 with a gate",
    isOf: (names) =>
      isDinov3(names) && names.any('layer.{i}.mlp.gate_proj.weight', 'layer.{i}.mlp.gate_proj.bias'),
    rows: [...dinov3Rows, ...dinov3Mlp({ w1: 'gate_proj', w2: 'up_proj', w3: 'down_proj' })],
  },
  'huggingface-dinov3': {
    ...dinov3,
    title: "Hugging Face's DINOv3",
    isOf: isDinov3,
    rows: [...dinov3Rows, ...dinov3Mlp({ fc1: 'up_proj', fc2: 'down_proj' })],
  },
} as const satisfies Record<string, Layout>
