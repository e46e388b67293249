/** A trained encoder as a teacher: its features of views that are normalised as a run's are. */
import { modelsOf } from '../config/assemble.ts'
import { bandsOf } from '../config/resolve.ts'
import { invariant, SherdError } from '../errors.ts'
import { quoted } from '../files/shell.ts'
import { precisionNames } from '../machine/plan.ts'
import { patchAttention } from '../model/attention-rows.ts'
import { openBackbone } from '../model/backbone.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import type { Tap } from '../model/block.ts'
import { weightsOf } from '../model/parameters.ts'
import type { View } from '../prepare/view.ts'
import type { FrozenModel } from '../target/frozen-model.ts'
import type { GivenModels, Locate } from '../target/target-row.ts'
import { noGrad, setThreads } from '../tensor/context.ts'
import { toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Prefixed, patchesOf } from '../token/prefix.ts'
import { identityOf, sealOfModel } from './found-weights.ts'
import { encodeImages } from './frozen-encoder.ts'
import { locateTokenizer, openFrozenTokenizer } from './frozen-tokenizer.ts'
import { findWeights, openEncoder } from './open-encoder.ts'
import { renormaliser, type Taught } from './taught.ts'

/** Models by what their files say. Throws as `findWeights` does. */
export const locate: Locate = {
  async frozen(path) {
    const found = await findWeights({ model: path }).catch((error: unknown) => {
      // Its advice is for commands whose --set is about the model that is named.
      if (!(error instanceof SherdError) || error.code !== 'USAGE') throw error
      throw new SherdError(
        'CONFIG',
        `${error.message} These are not options of this run: give them to "npx sherd import ${quoted(path)} --out FILE.safetensors", and name that file here.`,
      )
    })
    return { path: identityOf(found, path), width: found.config.model.width }
  },
  tokenizer: locateTokenizer,
}

/** By their path; one that cannot be opened throws when it is asked for. */
async function openAll<T extends object>(paths: readonly string[], open: (path: string) => Promise<T>) {
  const opened = new Map<string, T | Error>()
  for (const path of paths) opened.set(path, await open(path).catch((error: Error) => error))
  return (path: string): T => {
    const found = opened.get(path)
    invariant(found, `${path} is no model of the configuration`)
    if (found instanceof Error) throw found
    return found
  }
}

/** Those that the objective reads. */
export const openFrozenModels = async (run: Taught): Promise<GivenModels> => ({
  frozen: await openAll(modelsOf(run.config, 'frozen'), (path) => openFrozenModel(path, run)),
  tokenizer: await openAll(modelsOf(run.config, 'tokenizer'), (path) => openFrozenTokenizer(path, run)),
})

/** Throws as `openEncoder` does, and `CONFIG` for a model of other channels or bands. */
export async function openFrozenModel(
  path: string,
  { config, statistics, machine }: Taught,
): Promise<FrozenModel> {
  const { device, precision, threads } = machine
  const encoder = await openEncoder({
    ...{ model: path, device: device === 'cpu' ? 'cpu' : 'cuda' },
    precision: precisionNames[precision],
  })
  setThreads(threads) // those of the run, and not of the run that the teacher is from
  const [own, wanted] = [encoder.config, config].map(
    (each) => bandsOf(each)?.join(', ') ?? `${each.model.channels} channels`,
  )
  if (own !== wanted)
    throw new SherdError(
      'CONFIG',
      `${path} was trained on ${own}, and this run has ${wanted}: a teacher of the same is needed.`,
    )
  const { shape } = encoder
  const { depth, width, imageSize } = shape.dimensions
  const hash = sealOfModel(await findWeights({ model: path }))
  const renormalised = renormaliser(statistics, encoder.statistics, device)
  const backbone = openBackbone(shape, device)
  const read = (tokens: Prefixed) => toDtype(patchesOf(tokens), 'float32')
  const attention = patchAttention(shape.dimensions)
  /** The last block's output is normed only where it is wanted. */
  const encode = (view: View, blocks: readonly number[] | null, taps: readonly Tap[] = []) => {
    const given = renormalised(view)
    if (blocks === null) {
      const encoded = encodeImages(encoder, backbone, given, { taps })
      return { features: [read(encoded)], tapped: encoded.taps }
    }
    const until = Math.max(...blocks, ...taps.map(({ block }) => block))
    const outputs = blocks.map((block): Tap => ({ block, of: 'output' }))
    const { prefix, taps: made } = backbone.encodeAll(given, weightsOf(encoder.parameters), {
      ...{ taps: [...outputs, ...taps], until, norm: false },
    })
    const features = made.slice(0, blocks.length).map((sequence) => read({ sequence, prefix }))
    return { features, tapped: made.slice(blocks.length) }
  }
  return {
    ...{ hash, width, depth, imageSize, layout: layoutOf(shape) },
    features: (view, blocks) => noGrad(() => scope(() => encode(view, blocks).features)),
    attention: (view, also) =>
      noGrad(() =>
        scope(() => {
          const { features, tapped } = encode(view, also ? also.blocks : [], [attention.tap])
          return { attention: attention.read(tapped[0]!), features }
        }),
      ),
  }
}
