/** What is measured: the training steps that users of small, medium and large images take. One row a benchmark. */
import type { ConfigInput } from '../src/config/schema.ts'
import type { Range } from './largest-batch.ts'

/** A way of running the peer. The best of a work's variants counts. */
export interface Variant {
  readonly name: string
  readonly precision: 'bf16' | 'fp32'
  readonly compile: boolean
  /** Of torch.compile; default: its default. */
  readonly mode?: 'reduce-overhead' | 'max-autotune-no-cudagraphs'
  /** Seconds after which a program that is not ready is left out: searching for kernels takes minutes for a large model. */
  readonly patience?: number
  /** Whether PyTorch 2 may take its fused attention; on CPUs plain products can be the faster. */
  readonly fusedAttention: boolean
}

export interface Work {
  readonly name: string
  readonly title: string
  readonly device: 'cpu' | 'cuda'
  /** sherd's; `auto` is bfloat16 where the hardware has it. */
  readonly precision: 'auto' | 'bf16' | 'fp32'
  readonly peers: readonly Variant[]
  readonly model: NonNullable<ConfigInput['model']> & {
    readonly imageSize: [number, number]
    readonly patchSize: number
  }
  readonly decoder?: NonNullable<ConfigInput['decoder']>
  /** A range: the largest that fits into the device's memory on both sides, found by trying; one side runs at a time. */
  readonly batch: number | Range
  /** Steps of one round; sherd and the peer take rounds in turn. */
  readonly steps: number
}

type Precision = Variant['precision']

/** `compiled bf16, fused attention`. */
export const wayName = ({
  compile,
  precision,
  fusedAttention,
}: Pick<Variant, 'compile' | 'fusedAttention'> & { readonly precision?: Precision }): string =>
  `${compile ? 'compiled' : 'eager'}${precision ? ` ${precision}` : ''}, ${fusedAttention ? 'fused' : 'plain'} attention`

const variant = (precision: Precision, compile: boolean, fusedAttention: boolean): Variant => ({
  name: wayName({ compile, precision, fusedAttention }),
  ...{ precision, compile, fusedAttention },
})
const everyWay = (precision: Precision): readonly Variant[] =>
  [false, true].flatMap((compile) => [false, true].map((fused) => variant(precision, compile, fused)))
const onGpu: readonly Variant[] = [variant('bf16', false, true), variant('bf16', true, true)]
const inMode = (mode: NonNullable<Variant['mode']>): Variant => {
  const compiled = variant('bf16', true, true)
  return { ...compiled, name: `${compiled.name}, ${mode}`, mode, patience: 90 }
}

const tiny: Pick<Work, 'model' | 'decoder'> = {
  model: { size: 'tiny', imageSize: [32, 32], patchSize: 4 },
  decoder: { width: 192, depth: 4, heads: 3 },
}
const small: Pick<Work, 'model' | 'decoder'> = {
  model: { size: 'small', imageSize: [64, 64], patchSize: 8 },
  decoder: { width: 192, depth: 4, heads: 6 },
}

const onCpu: readonly Pick<Work, 'name' | 'title' | 'model' | 'decoder' | 'batch' | 'steps'>[] = [
  { name: 'tiny', title: 'ViT-Tiny/4, 32 × 32, batch 128', ...tiny, batch: 128, steps: 4 },
  { name: 'small', title: 'ViT-Small/8, 64 × 64, batch 64', ...small, batch: 64, steps: 4 },
  {
    ...{ name: 'base', title: 'ViT-Base/16, 224 × 224, batch 8', batch: 8, steps: 2 },
    model: { size: 'base', imageSize: [224, 224], patchSize: 16 },
  },
]

export const works: readonly Work[] = [
  ...onCpu.map(
    (work): Work => ({
      ...work,
      device: 'cpu',
      precision: 'auto',
      peers: [...everyWay('bf16'), ...everyWay('fp32')],
    }),
  ),
  ...onCpu.map(
    (work): Work => ({
      ...work,
      ...{ name: `${work.name}-fp32`, title: `${work.title}, float32`, device: 'cpu', precision: 'fp32' },
      peers: everyWay('fp32'),
    }),
  ),
  {
    ...{ name: 'tiny-gpu', title: 'ViT-Tiny/4, 32 × 32, batch 4096', device: 'cuda', precision: 'bf16' },
    // Small products leave the device waiting for its host: CUDA graphs (reduce-overhead) and searched kernels count, too.
    peers: [...onGpu, inMode('reduce-overhead'), inMode('max-autotune-no-cudagraphs')],
    ...{ ...tiny, batch: 4096, steps: 10 },
  },
  {
    ...{
      name: 'large-gpu',
      title: 'ViT-Large/16, 224 × 224, largest batch',
      device: 'cuda',
      precision: 'bf16',
    },
    ...{ peers: onGpu, batch: { from: 64, to: 8192, multiple: 32 }, steps: 5 },
    model: { size: 'large', imageSize: [224, 224], patchSize: 16 },
  },
]
