/** What a pretraining model says of masked images: a masked autoencoder's prediction, BEiT's codes. */
import { maskedObjectiveOf } from '../config/assemble.ts'
import { openBackbone } from '../model/backbone.ts'
import { weightsOf } from '../model/parameters.ts'
import { allRows } from '../objective/averages.ts'
import { viewOf } from '../prepare/view.ts'
import { autocastFrozen } from '../tensor/context.ts'
import { layerNorm } from '../tensor/fused.ts'
import { linear, reshape, toDevice, toDtype } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { maskOf } from '../token/mask.ts'
import { patchesOf } from '../token/prefix.ts'
import { findWeights, loadRows } from '../weights/open-encoder.ts'
import { type LayoutGiven, type LayoutOutputs, stacked, tapsOf } from './layout-given.ts'
import { rawTensors } from './layout-outputs.ts'

export async function outputsOfPretraining(given: LayoutGiven): Promise<() => LayoutOutputs> {
  const { tensors, encoder } = given
  const of = tensors.has('input.noise')
    ? await ofAutoencoder(given)
    : tensors.has('input.masked')
      ? await ofCodes(given)
      : (): LayoutOutputs => ({})
  return () => {
    const made = autocastFrozen({ device: encoder.device, dtype: encoder.precision }, of)
    return Object.fromEntries(Object.entries<Tensor>(made).map(([name, x]) => [name, toDtype(x, 'float32')]))
  }
}

/** `input.noise` [B, N]; the smaller are seen. */
async function ofAutoencoder({ encoder, tensors, folder, base }: LayoutGiven): Promise<() => LayoutOutputs> {
  const { config, device, shape } = encoder
  const objective = maskedObjectiveOf(config, device)
  const parameters = await loadRows(allRows(objective), await findWeights({ model: folder, base }), device)
  return () => {
    const weights = weightsOf(parameters)
    const image = viewOf(toDevice(tensors.get('input.pixel_values')!, device))
    const plan = objective.planFromNoise(toDevice(tensors.get('input.noise')!, device), image)
    const { prediction } = objective.predict(weights, image, plan)
    const { parts } = objective.loss(weights, { image }, plan)
    const backbone = openBackbone(shape, device)
    const { depth } = shape.dimensions
    const { sequence, taps } = backbone.encodeKept(backbone.cut(image), plan.kept, weights, {
      taps: tapsOf(depth),
    })
    return {
      ...{
        last_hidden_state: sequence,
        intermediate: stacked(taps.slice(0, depth)),
        attention: taps[depth]!,
      },
      ...{ prediction, mask: maskOf(plan), loss: reshape(Object.values(parts)[0]!.mean, [1]) },
    }
  }
}

/** `input.masked` [B, N] 1 for patches that are the mask token. */
async function ofCodes({ encoder, tensors, folder }: LayoutGiven): Promise<() => LayoutOutputs> {
  const { device, shape, parameters } = encoder
  const d = shape.dimensions
  const raw = await rawTensors(folder, (name) => /mask_token$|^lm_head\.|^layernorm\./.test(name))
  const own = (end: string) => toDevice(raw.get([...raw.keys()].find((name) => name.endsWith(end))!)!, device)
  return () => {
    const weights = weightsOf(parameters)
    const backbone = openBackbone(shape, device)
    const cut = backbone.cut(viewOf(toDevice(tensors.get('input.pixel_values')!, device)))
    const mask = toDevice(tensors.get('input.masked')!, device)
    const masked = { mask, token: reshape(own('mask_token'), [1, 1, d.width]) }
    const made = backbone.encodeMasked(cut, masked, weights, { taps: tapsOf(d.depth) })
    const { sequence } = made
    const patches = patchesOf(made)
    const outer = { weight: own('layernorm.weight'), bias: own('layernorm.bias') }
    const normed = layerNorm(patches, outer, d.layerNormEpsilon)
    return {
      ...{ last_hidden_state: sequence, intermediate: stacked(made.taps.slice(0, d.depth)) },
      ...{
        attention: made.taps[d.depth]!,
        logits: linear(normed, own('lm_head.weight'), own('lm_head.bias')),
      },
    }
  }
}
