import type { EncoderRequest } from '../../weights/open-encoder.ts'

/** The checksum of the weights. */
export async function sealOfModel(
  request: Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'set'>,
): Promise<string> {
  const { findWeights } = await import('../../weights/open-encoder.ts')
  const { sealOfWeights } = await import('../../weights/found-weights.ts')
  return sealOfWeights(await findWeights(request)) || 'random'
}
