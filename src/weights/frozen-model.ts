/** A trained encoder as a teacher: its features of views that are normalised as a run's are. */
import { modelsOf } from '../config/assemble.ts'
import { bandsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { invariant, SherdError } from '../errors.ts'
import { type MachinePlan, precisionNames } from '../machine/plan.ts'
import { openBackbone } from '../model/backbone.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { weightsOf } from '../model/parameters.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { View } from '../prepare/view.ts'
import type { FrozenModel } from '../target/frozen-model.ts'
import type { Locate } from '../target/target-row.ts'
import { noGrad, setThreads } from '../tensor/context.ts'
import { add, mul, toDevice, toDtype } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, tensor } from '../tensor/tensor.ts'
import { type Prefixed, patchesOf } from '../token/prefix.ts'
import { identityOf, sealOfModel } from './found-weights.ts'
import { encodeImages } from './frozen-encoder.ts'
import { findWeights, openEncoder } from './open-encoder.ts'

/** The run that it teaches. */
export interface Taught {
  readonly config: Config
  readonly statistics: ChannelStatistics
  readonly machine: Pick<MachinePlan, 'device' | 'precision' | 'threads'>
}

/** A model by what its file says. Throws as `findWeights` does. */
export const locateModel: Locate = async (path) => {
  const found = await findWeights({ model: path })
  return { path: identityOf(found, path), width: found.config.model.width }
}

/** Those that the objective reads, by their path; one that cannot be opened throws when it is asked for. */
export async function openFrozenModels(run: Taught): Promise<(path: string) => FrozenModel> {
  const opened = new Map<string, FrozenModel | Error>()
  for (const path of modelsOf(run.config))
    opened.set(path, await openFrozenModel(path, run).catch((error: Error) => error))
  return (path) => {
    const found = opened.get(path)
    invariant(found, `${path} is no model of the configuration`)
    if (found instanceof Error) throw found
    return found
  }
}

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
  const { depth, width } = shape.dimensions
  const hash = sealOfModel(await findWeights({ model: path }))
  const renormalised = renormaliser(statistics, encoder.statistics, device)
  const backbone = openBackbone(shape, device)
  const read = (tokens: Prefixed) => toDtype(patchesOf(tokens), 'float32')
  return {
    ...{ hash, width, depth, layout: layoutOf(shape) },
    features: (view, blocks) =>
      noGrad(() =>
        scope(() => {
          const given = renormalised(view)
          if (blocks === null) return [read(encodeImages(encoder, backbone, given))]
          const { prefix, taps } = backbone.encodeAll(given, weightsOf(encoder.parameters), {
            taps: blocks.map((block) => ({ block, of: 'output' })),
            ...{ until: Math.max(...blocks), norm: false },
          })
          return taps.map((sequence) => read({ sequence, prefix }))
        }),
      ),
  }
}

/** From pixels that one model's statistics have normalised to those of another's. */
function renormaliser(from: ChannelStatistics, to: ChannelStatistics, device: Device): (view: View) => View {
  const isSame = [...from.mean, ...from.std].join() === [...to.mean, ...to.std].join()
  if (isSame) return (view) => view
  const ofChannels = (value: (c: number) => number) => {
    const values = from.mean.map((_, c) => value(c))
    return toDevice(tensor(values, [1, 1, values.length, 1, 1]), device)
  }
  return (view) => {
    const scaled = mul(
      view.pixels,
      ofChannels((c) => from.std[c]! / to.std[c]!),
    )
    return {
      ...view,
      pixels: add(
        scaled,
        ofChannels((c) => (from.mean[c]! - to.mean[c]!) / to.std[c]!),
      ),
    }
  }
}
