/** The configuration's keys of what is predicted, in the group `target`. */
import { z } from 'zod'
import { bandStatistics } from './band-pixels.ts'

export const pixelKeys = {
  normalize: z.boolean().default(true).describe('predict patches normalised by their own mean and variance'),
  statistics: z
    .enum(bandStatistics)
    .default('group')
    .describe("those of the group's patch, of each band's, or of all bands at the place"),
  scales: z
    .array(z.int().min(1).max(64))
    .min(1)
    .max(8)
    .nullable()
    .default(null)
    .describe('larger pictures to rebuild, too (SatMAE++): [2] or [2, 4]; needs target.normalize false'),
  scalesWidth: z.int().min(1).max(4096).default(64).describe('channels of the convolutions that enlarge'),
}
