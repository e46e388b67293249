/** A trained tokenizer: opened from a run, a checkpoint of it or a file, for its codes and for what they say; and as a target of another run. */
import { objectiveOf } from '../config/assemble.ts'
import { bandsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { weightsOf } from '../model/parameters.ts'
import { isTokenizer, type TokenizerObjective } from '../objective/tokenizer.ts'
import type { FrozenTokenizer } from '../target/frozen-tokenizer.ts'
import { resizedPixels } from '../target/resized.ts'
import type { Locate } from '../target/target-row.ts'
import { noGrad, setThreads } from '../tensor/context.ts'
import { scope } from '../tensor/scope.ts'
import { type FoundWeights, identityOf, sealOfModel } from './found-weights.ts'
import { type EncoderRequest, findWeights, type OpenedEncoder, openFound } from './open-encoder.ts'
import { renormaliser, type Taught } from './taught.ts'

/** Its parameters are those of the objective, under its names. */
export interface OpenedTokenizer extends Omit<OpenedEncoder, 'found'> {
  readonly objective: TokenizerObjective
  readonly found: FoundWeights
}

const EXPECTED =
  'a run of objective vqkd or vq-pixels, such as of the preset vq-pixels-tiny-cifar10, one of its checkpoints, or its model.safetensors'

/** Throws as `findWeights`, and `CONFIG` for what is no tokenizer. */
async function findTokenizer(model: string): Promise<FoundWeights> {
  const found = await findWeights({ model }, () => {}).catch((error: unknown) => {
    // Its advice is for commands with options about the model that is named.
    if (!(error instanceof SherdError) || error.code !== 'USAGE') throw error
    throw new SherdError(
      'CONFIG',
      `${error.message} A tokenizer says itself what it is, and no option or key says it here: expected ${EXPECTED}.`,
      { cause: error },
    )
  })
  const { config, files } = found
  if (!isTokenizer(objectiveOf(config, 'cpu')))
    throw new SherdError(
      'CONFIG',
      `${files[0] ?? model} is no tokenizer, it has learned by objective ${config.objective}: expected ${EXPECTED}.`,
    )
  return found
}

export type TokenizerRequest = Pick<EncoderRequest, 'model' | 'device' | 'precision' | 'reading'>

/** The teacher of a tokenizer is not needed. Throws as `findTokenizer`, and `CHECKPOINT` for weights that do not fit. */
export async function openTokenizer(request: TokenizerRequest): Promise<OpenedTokenizer> {
  const found = await findTokenizer(request.model)
  const { rows } = objectiveOf(found.config, 'cpu')
  const opened = await openFound(request, { ...found, ...found.whole }, () => ({ rows, norm: 'norm' }))
  const objective = objectiveOf(found.config, opened.device) as TokenizerObjective
  return { ...opened, objective, found }
}

export const locateTokenizer: Locate['tokenizer'] = async (path) => {
  const found = await findTokenizer(path)
  return {
    path: identityOf(found, path),
    codes: (objectiveOf(found.config, 'cpu') as TokenizerObjective).codes,
  }
}

/** Throws `CONFIG` where the images of a run cannot be brought to those of the tokenizer. */
function expectFit(path: string, own: Config, wanted: Config): void {
  const [channels, given] = [own, wanted].map(
    (each) => bandsOf(each)?.join(', ') ?? `${each.model.channels} channels`,
  )
  if (channels !== given)
    throw new SherdError(
      'CONFIG',
      `target.tokenizer: ${path} was trained on ${channels}, and this run has ${given}: a tokenizer of the same is needed.`,
    )
  const [[h, w], [H, W]] = [own.model.imageSize, wanted.model.imageSize]
  const times = h >= H ? h / H : H / h
  if (!Number.isInteger(times) || h * W !== H * w)
    throw new SherdError(
      'CONFIG',
      `target.tokenizer: ${path} takes images of ${h} × ${w} pixels, and model.imageSize is ${H} × ${W}: expected the same, or k times or a k-th of both sides, such as ${h * 2} × ${w * 2}`,
    )
}

/** Throws `CONFIG` for what is no tokenizer, or does not fit the run. */
export async function openFrozenTokenizer(
  path: string,
  { config, statistics, machine }: Taught,
): Promise<FrozenTokenizer> {
  const { device, threads } = machine
  const opened = await openTokenizer({ model: path, device: device === 'cpu' ? 'cpu' : 'cuda' })
  setThreads(threads) // those of the run
  expectFit(path, opened.config, config)
  const { objective, parameters, found } = opened
  const { layout, codes } = objective
  const { imageSize } = opened.config.model
  const renormalised = renormaliser(statistics, opened.statistics, device)
  return {
    ...{ hash: sealOfModel(found), layout, codes },
    encode: (view) =>
      noGrad(() =>
        scope(() => {
          const given = renormalised(view)
          const sized = { ...given, pixels: resizedPixels(given.pixels, imageSize) }
          return objective.encode(sized, weightsOf(parameters))
        }),
      ),
  }
}
