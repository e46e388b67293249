/** The same network with random weights: what an encoder has to beat. */
import { normedRows } from '../model/classifier.ts'
import { outputRows } from '../model/own-output.ts'
import { initialParameters } from '../model/parameters.ts'
import type { OpenedEncoder } from './open-encoder.ts'

/** With the norm, the statistics and the features of the encoder. Its parameters live until they are disposed. */
export function randomTwin(encoder: OpenedEncoder, seed: number): OpenedEncoder {
  const { shape, norm = 'norm', parameters, device, origin } = encoder
  const own = outputRows(shape.dimensions).filter(({ name }) => parameters.has(name))
  return {
    ...encoder,
    parameters: initialParameters([...normedRows(shape, norm), ...own], { seed, device }),
    origin: { ...origin, path: 'random', step: 0 },
  }
}
