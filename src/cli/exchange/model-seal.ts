import type { EncoderRequest } from '../../weights/open-encoder.ts'

/** The checksum of the weights, and of how images are prepared. */
export async function modelSeal(
  request: Pick<EncoderRequest, 'model' | 'config' | 'statistics' | 'set'>,
): Promise<string> {
  const { findWeights } = await import('../../weights/open-encoder.ts')
  const { sealOfModel } = await import('../../weights/found-weights.ts')
  return sealOfModel(await findWeights(request, () => {})) || 'random'
}
