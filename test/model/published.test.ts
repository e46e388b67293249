// Networks of published encoders as rows of options, against the numbers of the libraries that they come from.
import { join } from 'node:path'
import { it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import type { EncoderDimensions, EncoderVariant } from '../../src/model/dimensions.ts'
import { type EncodeOptions, encodeTokens } from '../../src/model/encoder.ts'
import { applyLinear } from '../../src/model/linear.ts'
import { type Weights, within } from '../../src/model/parameters.ts'
import { rotaryPeriods } from '../../src/model/rotary-position.ts'
import { packageRoot } from '../../src/package-root.ts'
import { call } from '../../src/tensor/call.ts'
import { gradient, noGrad, requireGradient } from '../../src/tensor/context.ts'
import {
  add,
  cat,
  div,
  mul,
  narrow,
  permute,
  reshape,
  select,
  sub,
  sum,
  toDtype,
  unsqueeze,
  zeros,
} from '../../src/tensor/ops.ts'
import { backwardRecomputing, withRecompute } from '../../src/tensor/recompute.ts'
import { scope } from '../../src/tensor/scope.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { clsOf, clsPrefix, type Prefix, patchesOf, positionedLength } from '../../src/token/prefix.ts'
import { expectClose, numbers } from '../tolerance.ts'

type Tensors = ReadonlyMap<string, Tensor>
const folder = join(packageRoot(), '../shared/reference')
const positionedCls: Prefix = [{ name: 'cls_token', kind: 'cls', count: 1, positioned: true }]
const registersOf = (name: string, cls = positionedCls): Prefix => [
  ...cls,
  { name, kind: 'register', count: 4, positioned: false },
]

/** Weights by our names from a file whose names are others. */
const weightsIn =
  (tensors: Tensors, prefix = '', rename: (name: string) => string = (name) => name): Weights =>
  (name) => {
    const found = tensors.get(prefix + rename(name))
    if (!found) throw new Error(`no ${prefix}${rename(name)}`)
    return found
  }

interface Masking {
  /** [B, N] 1 where the mask token is. */
  readonly mask?: Tensor
  /** [R + N, D], where the file says what the table becomes for this grid. */
  readonly table?: Tensor
}

/** The encoder on images [B, C, H, W], by the embedding that all these families have. */
function run(
  images: Tensor,
  weights: Weights,
  d: EncoderDimensions,
  options: EncodeOptions = {},
  { mask, table }: Masking = {},
) {
  const prefix = d.variant?.prefix ?? clsPrefix
  const P = [d.patchSize].flat()[0]!
  const has = (name: string) => {
    try {
      return weights(name)
    } catch {
      return null
    }
  }
  const kernel = weights('patch_embed.proj.weight')
  const cut = call('conv2d', images, kernel, has('patch_embed.proj.bias'), [P, P], [0, 0], [1, 1], 1)
  const [B, D, h, w] = cut.shape as [number, number, number, number]
  const N = h * w
  const embedded = () => {
    const patches = permute(reshape(cut, [B, D, N]), [0, 2, 1])
    const m = mask && unsqueeze(mask, 2)
    const x = m
      ? add(sub(patches, mul(patches, m)), mul(reshape(weights('mask_token'), [1, 1, D]), m))
      : patches
    const R = positionedLength(prefix)
    const all = table ?? has('pos_embed') ?? zeros([R + N, D])
    const rows = reshape(all, [R + N, D])
    return { x, positions: narrow(rows, 0, R, N), kept: null, prefixPositions: narrow(rows, 0, 0, R) }
  }
  return encodeTokens(embedded, weights, d, { grid: { h, w }, ...options })
}

const base = { channels: 3, width: 32, depth: 2, heads: 4, mlpRatio: 4, layerNormEpsilon: 1e-6 }

// --- Encoders as libraries save them: every block, attention of the last, all tokens

const hf = (name: string): string =>
  name
    .replace('rel_pos_bias.', 'encoder.relative_position_bias.')
    .replace(/^blocks\./, 'encoder.layer.')
    .replace('attn.relative_position', 'attention.attention.relative_position_bias.relative_position')
    .replace('attn.proj', 'attention.output.dense')
    .replace('attn.q_bias', 'attention.attention.query.bias')
    .replace('attn.v_bias', 'attention.attention.value.bias')
    .replace('norm1', 'layernorm_before')
    .replace('norm2', 'layernorm_after')
    .replace('mlp.fc1', 'intermediate.dense')
    .replace('mlp.fc2', 'output.dense')
    .replace('gamma_', 'lambda_')
    .replace('patch_embed.proj', 'embeddings.patch_embeddings.projection')
    .replace(/^cls_token/, 'embeddings.cls_token')
    .replace(/^pos_embed/, 'embeddings.position_embeddings')
    .replace(/^norm\./, 'layernorm.')

interface Published {
  readonly patch: number
  readonly variant: EncoderVariant
  readonly d?: Partial<EncoderDimensions>
  readonly norm?: boolean
  readonly rename?: (name: string) => string
  /** The size that relative tables are resampled to. */
  readonly resized?: boolean
}

const beitScale = { initial: 0.1, names: ['gamma_1', 'gamma_2'] } as const
const dinoScale = { initial: 1e-5 }
const beit = (tables: 'shared' | 'per-block' | 'both', grid = { h: 4, w: 4 }): EncoderVariant => ({
  ...{ qkvBias: 'qv', layerScale: beitScale, relativePositions: { tables, grid } },
})
const dinov3: EncoderVariant = {
  prefix: registersOf('reg_token', clsPrefix),
  ...{ qkvBias: 'none', layerScale: beitScale, rotaryPositions: { periods: rotaryPeriods(8) } },
}
const clip: EncoderVariant = { prefix: positionedCls, preNorm: true }
const gates: Record<string, string> = { w12: 'fc1', w1: 'fc1_g', w2: 'fc1_x', w3: 'fc2' }
const timmGates = (name: string) => name.replace(/mlp\.(w\d+)/, (_, part: string) => `mlp.${gates[part]}`)

const published: Record<string, Published> = {
  'timm-vit-dino': { patch: 8, variant: { prefix: positionedCls } },
  'timm-beit': { patch: 8, variant: beit('per-block'), norm: false },
  'timm-beitv2': { patch: 8, variant: beit('per-block', { h: 4, w: 6 }), norm: false },
  'timm-dinov2': { patch: 14, variant: { prefix: positionedCls, layerScale: dinoScale } },
  'timm-dinov2-registers': {
    patch: 14,
    variant: { prefix: registersOf('reg_token', clsPrefix), layerScale: dinoScale },
  },
  'timm-dinov2-swiglu': {
    patch: 14,
    variant: {
      prefix: registersOf('reg_token', clsPrefix),
      layerScale: dinoScale,
      feedForward: 'swiglu',
      hidden: 85,
    },
    rename: timmGates,
  },
  'timm-dinov3': { patch: 16, variant: dinov3, d: { layerNormEpsilon: 1e-5 }, resized: true },
  'timm-dinov3-qkvb': { patch: 16, variant: { ...dinov3, qkvBias: 'qv' }, d: { layerNormEpsilon: 1e-5 } },
  'timm-dinov3-swiglu': {
    patch: 16,
    variant: { ...dinov3, feedForward: 'gated' },
    d: { layerNormEpsilon: 1e-5 },
    rename: timmGates,
  },
  'timm-clip': { patch: 8, variant: clip, d: { layerNormEpsilon: 1e-5 } },
  'timm-clip-quickgelu': {
    patch: 8,
    variant: { ...clip, activation: 'quick-gelu' },
    d: { layerNormEpsilon: 1e-5 },
  },
  'timm-siglip-gap': { patch: 8, variant: { prefix: [] } },
  'timm-siglip-tanh': { patch: 8, variant: { prefix: [], activation: 'gelu-tanh', hidden: 119 } },
  beit: {
    patch: 8,
    variant: beit('per-block'),
    d: { layerNormEpsilon: 1e-12 },
    norm: false,
    rename: hf,
    resized: true,
  },
  'data2vec-vision': {
    patch: 8,
    variant: beit('both'),
    d: { layerNormEpsilon: 1e-12 },
    norm: false,
    rename: hf,
    resized: true,
  },
  ijepa: { patch: 7, variant: { prefix: [] }, rename: hf },
}

/** transformers keeps queries, keys and values apart. */
function withQkv(tensors: Tensors): Tensors {
  const made = new Map(tensors)
  for (const name of tensors.keys())
    for (const kind of ['weight', 'bias']) {
      const end = `attention.attention.query.${kind}`
      if (!name.endsWith(end)) continue
      const block = name.slice(0, -end.length)
      const parts = ['query', 'key', 'value'].map((each) =>
        tensors.get(`${block}attention.attention.${each}.${kind}`),
      )
      if (parts.every((part) => part)) made.set(`${block}attn.qkv.${kind}`, cat(parts as Tensor[], 0))
    }
  return made
}

it.each(Object.entries(published))(
  '%s: every block, attention and all tokens',
  (name, { patch, variant, d: own, norm = true, rename, resized }) =>
    noGrad(() =>
      scope(() => {
        const read = readSafetensors(join(folder, 'layouts', name, 'expected.safetensors'))
        const stored = withQkv(readSafetensors(join(folder, 'layouts', name, 'model.safetensors')).tensors)
        const tolerance = Number(read.metadata.tolerance)
        const want = (key: string) => read.tensors.get(`expected.${key}`)!
        for (const at of ['', ...(resized ? ['resized.'] : [])]) {
          const images = read.tensors.get(`input.${at}pixel_values`)!
          const imageSize = images.shape.slice(2) as unknown as readonly [number, number]
          const d = { ...base, imageSize, patchSize: [patch, patch] as const, ...own, variant }
          const taps = [
            ...[0, 1].map((block) => ({ block, of: 'output' }) as const),
            { block: 1, of: 'attention' } as const,
          ]
          const made = run(images, weightsIn(stored, '', rename), d, { taps, norm })
          expectClose(made.sequence, want(`${at}last_hidden_state`), tolerance)
          if (at) continue
          for (const block of [0, 1])
            expectClose(made.taps[block]!, select(want('intermediate'), 0, block), tolerance)
          if (read.tensors.has('expected.attention')) expectClose(made.taps[2]!, want('attention'), tolerance)
          const early = run(images, weightsIn(stored, '', rename), d, { until: 0, norm: false })
          expectClose(early.sequence, made.taps[0]!, 1e-6)
        }
      }),
    ),
)

// --- Networks of the reference files: outputs, and gradients of their losses by every parameter

interface Config {
  readonly imageSize: readonly [number, number]
  readonly patchSize: number
  readonly depth: number
  readonly relativePositionBias?: 'none' | 'shared' | 'perBlock'
  readonly qkvBias: 'qkv' | 'qv'
  readonly layerScale?: number | null
  readonly absolutePosition: boolean
  readonly targetLayers: readonly number[]
  readonly lossBeta: number
}

interface Trained {
  /** The loss, and what is compared by name. */
  readonly loss: (given: Given) => { readonly loss: Tensor; readonly out: Readonly<Record<string, Tensor>> }
}
interface Given {
  readonly tensors: Tensors
  readonly weights: Weights
  readonly d: EncoderDimensions
  readonly config: Config
  /** [B, N] of step 0 */
  readonly mask: Tensor
}

/** The mean of errors [B, N, …] over masked patches and whatever is behind them. */
const maskedMean = (errors: Tensor, mask: Tensor) => {
  const perPatch = errors.shape.length === 3 ? call('mean.dim', errors, [2], false) : errors
  return div(sum(mul(perPatch, mask)), sum(mask))
}
const normed = (x: Tensor) => call('layer_norm', x, [x.shape.at(-1)!], null, null, 1e-5)

const trained: Record<string, Trained> = {}
const beitLoss: Trained['loss'] = ({ tensors, weights, d, mask }) => {
  const patches = patchesOf(run(tensors.get('input.images')!, weights, d, {}, { mask }))
  const logits = applyLinear(patches, within(weights, 'lm_head'))
  const [B, N, K] = logits.shape as [number, number, number]
  const codes = reshape(tensors.get('input.codes')!, [B * N])
  const each = call('cross_entropy_loss', reshape(logits, [B * N, K]), codes, null, 0, -100, 0)
  return { loss: maskedMean(reshape(each, [B, N]), mask), out: { logits } }
}
trained['beit-shared'] = { loss: beitLoss }
trained['beit-perblock'] = { loss: beitLoss }
trained['maskfeat-vit'] = {
  loss: ({ tensors, weights, d, mask }) => {
    const { sequence, ...rest } = run(tensors.get('input.images')!, weights, d, { norm: false }, { mask })
    const norm = within(weights, 'pred_head.transforms.0.0')
    const read = call(
      'layer_norm',
      patchesOf({ sequence, ...rest }),
      [32],
      norm('weight'),
      norm('bias'),
      1e-6,
    )
    const pred = applyLinear(read, within(weights, 'pred_head.projections.0'))
    const error = sub(pred, tensors.get('expected.out.target')!)
    return { loss: maskedMean(mul(error, error), mask), out: { pred } }
  },
}
trained['data2vec-vision'] = {
  loss: ({ tensors, weights, d, mask, config }) => {
    const images = tensors.get('input.images')!
    const layers = config.targetLayers
    const target = noGrad(() => {
      const taps = layers.map((block) => ({ block, of: 'output' }) as const)
      const until = Math.max(...layers)
      const { prefix, ...teacher } = run(images, weightsIn(tensors, 'teacher.'), d, {
        taps,
        until,
        norm: false,
      })
      const each = teacher.taps.map((sequence) => normed(patchesOf({ sequence, prefix })))
      return normed(
        div(
          each.reduce((a, b) => add(a, b)),
          each.length,
        ),
      )
    })
    const pred = applyLinear(patchesOf(run(images, weights, d, {}, { mask })), within(weights, 'lm_head'))
    const errors = call('smooth_l1_loss', pred, target, 0, config.lossBeta)
    return { loss: maskedMean(errors, mask), out: { pred, target } }
  },
}

const cases = Object.keys(trained).flatMap((name) =>
  [false, true].map((recompute) => [name, recompute] as const),
)

it.each(cases)('%s: outputs and gradients, recomputed: %s', (name, recompute) =>
  scope(() => {
    const { tensors, metadata } = readSafetensors(join(folder, 'targets', `${name}.safetensors`))
    const config = JSON.parse(metadata.config!) as Config
    const { relativePositionBias, qkvBias, layerScale, absolutePosition, imageSize, patchSize } = config
    const grid = { h: imageSize[0] / patchSize, w: imageSize[1] / patchSize }
    const tables = ({ none: null, shared: 'shared', perBlock: 'per-block' } as const)[
      relativePositionBias ?? 'none'
    ]
    const variant: EncoderVariant = {
      prefix: absolutePosition ? positionedCls : clsPrefix,
      qkvBias: qkvBias === 'qv' ? 'qv' : 'all',
      ...(layerScale && { layerScale: { initial: layerScale, names: ['gamma_1', 'gamma_2'] } }),
      ...(tables && { relativePositions: { tables, grid } }),
    }
    const d = {
      ...base,
      imageSize,
      patchSize: [patchSize, patchSize],
      depth: config.depth,
      variant,
    } as unknown as EncoderDimensions
    const learned = new Map([...tensors].filter(([key]) => key.startsWith('weights.')))
    for (const x of learned.values()) requireGradient(x)
    const mask = select(tensors.get('input.mask')!, 0, 0)
    const compute = () => {
      const made = trained[name]!.loss({ tensors, weights: weightsIn(tensors, 'weights.'), d, mask, config })
      backwardRecomputing([made.loss])
      return made
    }
    const { loss, out } = recompute ? withRecompute(compute) : compute()
    expectClose(loss, tensors.get('expected.loss')!, 1e-5)
    for (const [key, x] of Object.entries(out)) expectClose(x, tensors.get(`expected.out.${key}`)!, 2e-5)
    for (const [key, x] of learned) {
      const want = numbers(tensors.get(key.replace('weights.', 'expected.grad.'))!)
      const most = want.reduce((a, b) => Math.max(a, Math.abs(b)), 1)
      const got = gradient(x)
      expectClose(got ? numbers(got) : want.map(() => 0), want, 1e-5 * most)
    }
  }),
)

// --- Students of several crops: registers, gates, a resampled table, masked patches

const students = {
  'dino-multicrop': { prefix: positionedCls },
  'dinov2-center-mlp': { prefix: positionedCls, layerScale: dinoScale },
  'dinov2-sinkhorn-registers': {
    prefix: registersOf('register_tokens'),
    ...{ layerScale: dinoScale, feedForward: 'swiglu' },
  },
} satisfies Record<string, EncoderVariant>

it.each(Object.entries(students))('%s: features of the student', (name, variant) =>
  noGrad(() =>
    scope(() => {
      const { tensors } = readSafetensors(join(folder, 'self-distillation', `${name}.safetensors`))
      const weights = weightsIn(tensors, 'weights.backbone.')
      const d: EncoderDimensions = { ...base, imageSize: [24, 24], patchSize: [4, 4], variant }
      const features = (views: string, masking: Masking = {}) => {
        const [V, B, ...size] = tensors.get(views)!.shape as [number, number, ...number[]]
        const images = reshape(tensors.get(views)!, [V * B, ...size])
        return clsOf(run(images, weights, d, {}, masking))
      }
      const masks = tensors.get('input.masks')
      const mask = masks && toDtype(select(masks, 0, 0), 'float32')
      const global = features('input.globalViews', mask && { mask })
      const local = () => features('input.localViews', { table: tensors.get('expected.out.localPositions')! })
      const want = tensors.get('expected.out.studentFeatures')!
      expectClose(want.shape[0] === 6 ? global : cat([global, local()], 0), want, 1e-5)
    }),
  ),
)
