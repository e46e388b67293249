import { sealOf } from '../../files/durable.ts'
import type { EncoderRequest } from '../../weights/open-encoder.ts'

/** The checksum of the weights. */
export async function sealOfModel(
  request: Pick<EncoderRequest, 'model' | 'config' | 'statistics'>,
): Promise<string> {
  const { findWeights } = await import('../../weights/open-encoder.ts')
  const { weights } = findWeights(request)
  return weights === null ? 'random' : sealOf(weights).sha256
}
