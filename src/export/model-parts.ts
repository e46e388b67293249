/** Opens an encoder with the decoder and heads that the graphs need. */
import { maskedObjectiveOf, objectiveOf } from '../config/assemble.ts'
import { predictionInWords } from '../config/in-words.ts'
import { pixelTargetOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { initialParameters, type ParameterRow } from '../model/parameters.ts'
import { isTokenizer } from '../objective/tokenizer.ts'
import type { FoundWeights } from '../weights/found-weights.ts'
import { openTokenizer } from '../weights/frozen-tokenizer.ts'
import { openClassifier } from '../weights/open-classifier.ts'
import {
  type EncoderRequest,
  findWeights,
  loadRows,
  type OpenedEncoder,
  openEncoder,
} from '../weights/open-encoder.ts'
import { openSegmenter } from '../weights/open-segmenter.ts'
import type { Autoencoder } from './autoencoder-graph.ts'
import type { OpenedModel } from './export-onnx.ts'
import type { GraphName } from './formats.ts'

/** Default graphs, by the contents of the weights. */
export async function usualGraphs(request: EncoderRequest): Promise<readonly GraphName[]> {
  const { classifier, segmenter, config } = await findWeights(request, () => {})
  if (isTokenizer(objectiveOf(config, 'cpu'))) return ['encode', 'decode']
  return [classifier ? 'classifier' : segmenter ? 'segmenter' : 'encoder']
}

/** Throws as `openEncoder`, and `USAGE` if the weights lack a part. */
export async function openModel(request: EncoderRequest, graphs: readonly GraphName[]): Promise<OpenedModel> {
  if (graphs.includes('encode') || graphs.includes('decode')) {
    expectOwnBands(request)
    const { objective, ...opened } = await openTokenizer(request)
    const others = graphs.filter((graph) => graph !== 'encode' && graph !== 'decode')
    if (others.length > 0)
      throw new SherdError(
        'USAGE',
        `The graphs encode and decode are written by themselves: give --graphs ${others.join(' ')} in another call.`,
      )
    return { ...opened, tokenizer: objective }
  }
  if (graphs.includes('classifier')) {
    expectOwnBands(request)
    const { head, classes, isMultiLabel, ...encoder } = await openClassifier(request)
    return {
      ...(await withAutoencoder(encoder, request, graphs)),
      classifier: { head, classes, isMultiLabel },
    }
  }
  if (graphs.includes('segmenter')) {
    expectOwnBands(request)
    const { segmenter: head, classes, numbers, ignored, ...encoder } = await openSegmenter(request)
    return {
      ...(await withAutoencoder(encoder, request, graphs)),
      segmenter: { head, classes, numbers, ignored },
    }
  }
  return withAutoencoder(await openEncoder(request), request, graphs)
}

/** A head needs the bands of its training. */
function expectOwnBands({ bands }: EncoderRequest): void {
  if (bands)
    throw new SherdError('USAGE', 'A file with a head says itself which bands it takes: leave --bands out.')
}

const withAutoencoder = async (
  encoder: OpenedEncoder,
  request: EncoderRequest,
  graphs: readonly GraphName[],
): Promise<OpenedModel> =>
  graphs.includes('autoencoder')
    ? { ...encoder, autoencoder: await openAutoencoder(encoder, request) }
    : encoder

/** Throws `USAGE` if the weights lack what predicts. */
function expectDecoder(rows: readonly ParameterRow[], { stored, files }: FoundWeights): void {
  const lacking = rows.find(({ name }) => !stored.has(name))
  if (lacking)
    throw new SherdError(
      'USAGE',
      `${files[0]} has no decoder (${lacking.name} …): an autoencoder is exported from a run of pretraining, a checkpoint of it, or weights of both halves.`,
    )
}

/** Throws `USAGE` if the weights have no decoder. */
async function openAutoencoder(encoder: OpenedEncoder, request: EncoderRequest): Promise<Autoencoder> {
  const { config, device } = encoder
  if (!pixelTargetOf(config))
    throw new SherdError(
      'USAGE',
      `This model predicts no pixels (${predictionInWords(config)}), and an exported autoencoder rebuilds them: export its encoder (--graphs encoder).`,
    )
  const found = await findWeights(request)
  const what = 'An exported autoencoder'
  const objective = maskedObjectiveOf(config, device, { what })
  const recorded = maskedObjectiveOf(config, device, { what, embed: 'all' })
  const rows = objective.rows.filter(({ name }) => !encoder.parameters.has(name))
  const isRandom = found.files.length === 0
  if (!isRandom) expectDecoder(rows, found)
  const seed = request.seed ?? config.train.seed
  const rest = isRandom ? initialParameters(rows, { seed, device }) : await loadRows(rows, found, device)
  return { objective, recorded, parameters: new Map([...encoder.parameters, ...rest]) }
}
