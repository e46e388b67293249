import { sealOfWeights } from '../../weights/found-weights.ts'
import type { EncoderRequest } from '../../weights/open-encoder.ts'

/** The checksum of the weights. */
export async function sealOfModel(
  request: Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'set'>,
): Promise<string> {
  const { findWeights } = await import('../../weights/open-encoder.ts')
  return sealOfWeights(await findWeights(request)) || 'random'
}
