/** Keys of the group `data`: common ones, those of images, and those of rasters. */
import { z } from 'zod'
import { isPattern, patternKind } from '../source/raster/path-pattern.ts'
import { namedRecipes, type RecipeName } from './augment/photometric-recipes.ts'
import { caches } from './cache/caches.ts'
import { corruptions } from './decode/damage.ts'
import { colourRules } from './decode/decode-request.ts'
import { interpolations } from './decode/resize.ts'
import { cutRuleNames, resizeModes } from './fit.ts'
import { clippings } from './raster/clipping.ts'

const range = z
  .tuple([z.number().positive(), z.number().positive()])
  .refine(([low, high]) => low <= high, 'the first number must not exceed the second')
  .meta({ allowed: '[low, high], both > 0' })
const shares = range
  .refine(([, high]) => high <= 1, 'a share must not exceed 1')
  .meta({ allowed: '[low, high], both > 0 and ≤ 1' })

export const dataKeys = {
  crop: z
    .enum(['random', 'center'])
    .default('random')
    .describe('random: RandomResizedCrop; center: the largest centred box'),
  scale: shares.default([0.2, 1]).describe('RandomResizedCrop: share of the area'),
  ratio: range.default([3 / 4, 4 / 3]).describe('RandomResizedCrop: width / height'),
  flip: z.boolean().default(true).describe('mirror half of the samples'),
  maxPixels: z
    .int()
    .min(1)
    .default(100_000_000)
    .describe('larger images are refused before they are decoded'),
  maxSkippedShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe(
      'a larger share of files that cannot be used stops the run; one always may be skipped, none when it is 0',
    ),
  corrupt: z
    .enum(corruptions)
    .default('skip')
    .describe(
      'images with damaged data: left out, taken as they are decoded, or the first one stops the run',
    ),
  fileTimeout: z
    .number()
    .positive()
    .max(3600)
    .default(30)
    .describe('seconds that reading a file may take, and decoding it; then it is skipped'),
  workers: z
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe('images decoded at once; 0 chooses by the number of cores'),
  prefetchBatches: z.int().min(1).max(64).default(2).describe('micro-batches decoded ahead of training'),
}

const ofChannels = (number: z.ZodNumber, allowed: string) =>
  z.array(number).min(1).max(4).meta({ allowed }).nullable().default(null)

const side = z.int().min(1).max(16_384)

const sixteenBits = z.int().min(0).max(65_535)

const roundings = ['bytes', 'none'] as const

/** Image files of 1 or 3 channels. */
export const imageKeys = {
  statistics: z
    .enum(['imagenet', 'dataset'])
    .default('imagenet')
    .describe("channel mean and standard deviation: ImageNet's, or computed once over the folder and saved"),
  mean: ofChannels(z.number(), '[a number for each channel]').describe(
    "channel mean in place of data.statistics, of values from 0 to 1; null: data.statistics'",
  ),
  std: ofChannels(z.number().positive(), '[a number > 0 for each channel]').describe(
    'channel standard deviation, with data.mean',
  ),
  resize: z
    .enum(resizeModes)
    .default('box')
    .describe(
      'whole images outside training: the largest centred box resized; all of it resized by the shorter or longer side and cut or filled up; squash: without regard to its shape; patches: to a size of its own that keeps it',
    ),
  inputSize: z
    .tuple([side, side])
    .nullable()
    .default(null)
    .describe(
      'pixels [height, width] that whole images are brought to, where these are no multiples of the patch: what is beyond model.imageSize at the right and the bottom is left out; not with data.resize box',
    ),
  maxPatches: z
    .int()
    .min(1)
    .max(65_536)
    .default(256)
    .describe('patches of an image, at most, where data.resize is patches'),
  cropShare: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe('share of the resized side that is cut out of the centre, where data.resize is not box'),
  cutRule: z
    .enum(cutRuleNames)
    .default('before')
    .describe(
      'a centre at half a pixel begins at the pixel before, as in transformers, or at the even one, as in timm and OpenCLIP',
    ),
  interpolation: z
    .enum(interpolations)
    .default('bicubic')
    .describe("how pixels are resampled: Pillow's filter of that name, widened when it shrinks"),
  fill: ofChannels(z.int().min(0).max(255), '[a number from 0 to 255 for each channel]').describe(
    'what surrounds an image that data.resize longest leaves too short; null: black',
  ),
  rounding: z
    .enum(roundings)
    .default('bytes')
    .describe('resized values outside training: bytes, as most libraries have them, or none, as DINOv3'),
  colours: z
    .enum(colourRules)
    .default('shown')
    .describe(
      'shown: profiles applied, alpha over white; stored: neither, as Pillow converts to RGB for most published encoders; resized: so after resizing, as OpenCLIP',
    ),
  range: z
    .tuple([sixteenBits, sixteenBits])
    .refine(([low, high]) => low < high, 'the first number must be smaller than the second')
    .meta({ allowed: '[low, high], low < high, whole numbers 0–65535' })
    .nullable()
    .default(null)
    .describe('what of 16-bit values becomes 0 and 255, such as [0,4095]; null takes the high byte'),
  cache: z
    .enum(caches)
    .default('none')
    .describe(
      'decoded training images stay in memory, or on the device, where they are also cropped; none: they are read again in every epoch',
    ),
  photometric: z
    .enum(Object.keys(namedRecipes) as [RecipeName, ...RecipeName[]])
    .nullable()
    .default(null)
    .describe('colour jitter, greyscale, blur and solarising of training images of 3 channels; null: none'),
}

/** Names of bands. */
export const bandList = z
  .array(z.string().min(1).meta({ allowed: 'name' }), {
    error: 'expected names of bands, such as ["B4","B3","B2"]',
  })
  .min(1)
  .max(1024)

/** Bands with names, in files of numbers. */
export const rasterKeys = {
  bands: bandList.describe('the bands to use by name, in the order of the channels'),
  bandNames: bandList
    .nullable()
    .default(null)
    .describe('the names of the bands in files that do not say them, in the order of the file'),
  pattern: z
    .string()
    .refine(isPattern, `expected ${patternKind}`)
    .meta({ allowed: 'regular expression' })
    .nullable()
    .default(null)
    .describe('how paths say series, date and band: a regular expression with groups of these names'),
  window: z
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe('side in pixels of the windows that scenes are cut into; null takes whole scenes'),
  nodata: z
    .number()
    .nullable()
    .default(null)
    .describe('what stands for no data, in place of what the files say; null: what they say'),
  applyScale: z
    .boolean()
    .default(false)
    .describe('values times the scale plus the offset that the files give, and not as they are stored'),
  clip: z
    .enum(clippings)
    .default('deviations')
    .describe('values are clipped at the mean ± 2 standard deviations, or the 2nd and 98th percentile'),
  minValid: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('share of the pixels that must hold data; another sample is taken where they do not'),
  statistics: z
    .enum(['dataset'], {
      error: 'ImageNet\'s are those of photographs; bands take those of the data set: expected "dataset"',
    })
    .default('dataset')
    .describe('channel mean and standard deviation, computed once over the folder and saved'),
}
