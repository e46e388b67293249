/** The part of the configuration that says what samples are: images or rasters, how they are cut, when they are left out. */
import { z } from 'zod'
import { corruptions } from '../prepare/decode/damage.ts'
import { clippings } from '../prepare/raster/clipping.ts'
import { isPattern, patternKind } from '../source/raster/path-pattern.ts'

export const positiveInteger = z.number().int().positive()
/** A whole number from 1 to a size that no model has yet: configurations come with files of strangers, too. */
export const upTo = (most: number) => positiveInteger.max(most)
const range = z
  .tuple([z.number().positive(), z.number().positive()])
  .refine(([low, high]) => low <= high, 'the first number must not exceed the second')
const shares = range.refine(([, high]) => high <= 1, 'a share must not exceed 1')

/** Names of bands. */
export const bandList = z.array(z.string().min(1)).min(1).max(1024)

export const dataSchema = z.strictObject({
  /** rasters: the bands to use by name, in the order of the channels; null: images of 1 or 3 channels */
  bands: bandList
    .nullable()
    .default(null)
    .describe(
      'rasters: the bands to use by name, in the order of the channels; null: images of 1 or 3 channels',
    ),
  /** rasters: the names of the bands in files that do not tell, in the order of the file */
  bandNames: bandList
    .nullable()
    .default(null)
    .describe('rasters: the names of the bands in files that do not tell, in the order of the file'),
  /** rasters: how paths tell series, date and band: a regular expression with groups of these names */
  pattern: z
    .string()
    .refine(isPattern, `expected ${patternKind}`)
    .nullable()
    .default(null)
    .describe(
      'rasters: how paths tell series, date and band: a regular expression with groups of these names',
    ),
  /** rasters: side in pixels of the windows that scenes are cut into; null takes whole scenes */
  window: positiveInteger
    .nullable()
    .default(null)
    .describe('rasters: side in pixels of the windows that scenes are cut into; null takes whole scenes'),
  /** rasters: what stands for no data, in place of what the files say; null: what they say */
  nodata: z
    .number()
    .nullable()
    .default(null)
    .describe('rasters: what stands for no data, in place of what the files say; null: what they say'),
  /** rasters: values times the scale plus the offset that the files give, and not as they are stored */
  applyScale: z
    .boolean()
    .default(false)
    .describe(
      'rasters: values times the scale plus the offset that the files give, and not as they are stored',
    ),
  /** rasters: values are clipped at the mean ± 2 standard deviations, or the 2nd and 98th percentile */
  clip: z
    .enum(clippings)
    .default('deviations')
    .describe(
      'rasters: values are clipped at the mean ± 2 standard deviations, or the 2nd and 98th percentile',
    ),
  /** rasters: share of the pixels that must hold data; another sample is taken where they do not */
  minValid: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('rasters: share of the pixels that must hold data; another sample is taken where they do not'),
  /** random: RandomResizedCrop; center: the largest centred box */
  crop: z
    .enum(['random', 'center'])
    .default('random')
    .describe('random: RandomResizedCrop; center: the largest centred box'),
  /** RandomResizedCrop: share of the area */
  scale: shares.default([0.2, 1]).describe('RandomResizedCrop: share of the area'),
  /** RandomResizedCrop: width / height */
  ratio: range.default([3 / 4, 4 / 3]).describe('RandomResizedCrop: width / height'),
  /** mirror half of the samples */
  flip: z.boolean().default(true).describe('mirror half of the samples'),
  /**
   * channel mean and standard deviation: ImageNet's (images), or computed once over the folder and saved (rasters)
   */
  statistics: z
    .enum(['imagenet', 'dataset'])
    .optional()
    .describe(
      "channel mean and standard deviation: ImageNet's (images), or computed once over the folder and saved (rasters)",
    ),
  /** images: what of 16-bit values becomes 0 and 255, such as [0,4095]; null takes the high byte */
  range: z
    .tuple([z.number().int().min(0).max(65_535), z.number().int().min(0).max(65_535)])
    .refine(([low, high]) => low < high, 'the first number must be smaller than the second')
    .nullable()
    .default(null)
    .describe('images: what of 16-bit values becomes 0 and 255, such as [0,4095]; null takes the high byte'),
  /** larger images are refused before they are decoded */
  maxPixels: positiveInteger
    .default(100_000_000)
    .describe('larger images are refused before they are decoded'),
  /**
   * a larger share of files that cannot be used stops the run; one always may be skipped, none when it is 0
   */
  maxSkippedShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe(
      'a larger share of files that cannot be used stops the run; one always may be skipped, none when it is 0',
    ),
  /** images with damaged data: left out, taken as they are decoded, or the first one stops the run */
  corrupt: z
    .enum(corruptions)
    .default('skip')
    .describe(
      'images with damaged data: left out, taken as they are decoded, or the first one stops the run',
    ),
  /** seconds that reading a file may take, and decoding it; then it is skipped */
  fileTimeout: z
    .number()
    .positive()
    .max(3600)
    .default(30)
    .describe('seconds that reading a file may take, and decoding it; then it is skipped'),
  /** images decoded at once; 0 chooses by the number of cores */
  workers: z
    .number()
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe('images decoded at once; 0 chooses by the number of cores'),
  /** micro-batches decoded ahead of training */
  prefetchBatches: positiveInteger.max(64).default(2).describe('micro-batches decoded ahead of training'),
})
