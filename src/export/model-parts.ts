/** Opens an encoder with the decoder and heads that the graphs need. */
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { objectiveOf } from '../config/assemble.ts'
import { pixelTargetOf } from '../config/resolve.ts'
import { SherdError } from '../errors.ts'
import { initialParameters, loadParameters } from '../model/parameters.ts'
import { scope } from '../tensor/scope.ts'
import { openClassifier } from '../weights/open-classifier.ts'
import { type EncoderRequest, findWeights, type OpenedEncoder, openEncoder } from '../weights/open-encoder.ts'
import { openSegmenter } from '../weights/open-segmenter.ts'
import type { Autoencoder } from './autoencoder-graph.ts'
import type { OpenedModel } from './export-onnx.ts'
import type { GraphName } from './formats.ts'

/** Default graphs, by the contents of the weights. */
export function usualGraphs(request: EncoderRequest): readonly GraphName[] {
  const { classifier, segmenter } = findWeights(request)
  return [classifier ? 'classifier' : segmenter ? 'segmenter' : 'encoder']
}

/** Throws as `openEncoder`, and `USAGE` if the weights lack a part. */
export function openModel(request: EncoderRequest, graphs: readonly GraphName[]): OpenedModel {
  if (graphs.includes('classifier')) {
    expectOwnBands(request)
    const { head, classes, isMultiLabel, ...encoder } = openClassifier(request)
    return { ...withAutoencoder(encoder, request, graphs), classifier: { head, classes, isMultiLabel } }
  }
  if (graphs.includes('segmenter')) {
    expectOwnBands(request)
    const { segmenter: head, classes, numbers, ignored, ...encoder } = openSegmenter(request)
    return { ...withAutoencoder(encoder, request, graphs), segmenter: { head, classes, numbers, ignored } }
  }
  return withAutoencoder(openEncoder(request), request, graphs)
}

/** A head needs the bands of its training. */
function expectOwnBands({ bands }: EncoderRequest): void {
  if (bands)
    throw new SherdError('USAGE', 'A file with a head says itself which bands it takes: leave --bands out.')
}

const withAutoencoder = (
  encoder: OpenedEncoder,
  request: EncoderRequest,
  graphs: readonly GraphName[],
): OpenedModel =>
  graphs.includes('autoencoder') ? { ...encoder, autoencoder: openAutoencoder(encoder, request) } : encoder

/** Throws `USAGE` if the weights have no decoder. */
function openAutoencoder(encoder: OpenedEncoder, request: EncoderRequest): Autoencoder {
  const { config, device } = encoder
  if (!pixelTargetOf(config))
    throw new SherdError(
      'USAGE',
      `This model predicts no pixels (target.kind ${config.target.kind}), and an exported autoencoder rebuilds them: export its encoder (--graphs encoder).`,
    )
  const { weights } = findWeights(request)
  const objective = objectiveOf(config, device)
  const recorded = objectiveOf(config, device, { embed: 'all' })
  const rows = objective.rows.filter(({ name }) => !encoder.parameters.has(name))
  const rest = weights
    ? scope(() => {
        const { tensors } = readSafetensors(weights)
        if (!tensors.has('decoder_embed.weight'))
          throw new SherdError(
            'USAGE',
            `${weights} has no decoder (decoder_embed.weight …): an autoencoder is exported from a run of pretraining, a checkpoint of it, or weights of both halves.`,
          )
        const wanted = new Set(rows.map(({ name }) => name))
        return loadParameters(rows, new Map([...tensors].filter(([name]) => wanted.has(name))), device)
      })
    : initialParameters(rows, { seed: request.seed ?? config.train.seed, device })
  return { objective, recorded, parameters: new Map([...encoder.parameters, ...rest]) }
}
