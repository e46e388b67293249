/** What `plan` prints. */
import { z } from 'zod'
import { choice, count, group, kind, list, number, orNull, path, text, texts, truth } from './fields.ts'
import { machine } from './training.ts'

const ofFolder = {
  dir: path('the folder'),
  looked: count('how many of them were looked at'),
  shortSide: group(
    {
      ...{ least: number('smallest'), tenth: number('a tenth is not larger'), median: number('middle one') },
      ...{ ninetieth: number('nine tenths are not larger'), most: number('largest') },
    },
    'shorter side in pixels, after orientation',
  ),
  sizes: list(
    { width: count('pixels'), height: count('pixels'), count: count('how many have it') },
    'commonest sizes, most first',
  ),
  otherSizes: count('how many have another size'),
  formats: list({ format: text('format'), count: count('how many have it') }, 'formats, most first'),
  broken: list(
    { file: text('path below the folder'), reason: text('why training would skip it') },
    'files that cannot be used',
  ),
  classes: count('folders of classes'),
  leastOfClass: count('images of the smallest class'),
  mostOfClass: count('images of the largest class'),
}

const survey = z.union([
  z.strictObject({
    kind: choice(['images', 'packed'], 'what the folder holds'),
    images: count('images'),
    ...ofFolder,
    grey: count('images without colour, of those looked at'),
    blank: count('images of one colour'),
    nearDuplicates: count('images that nearly are another one that was looked at'),
    duplicateExample: orNull(z.tuple([z.string(), z.string()]).describe('two of them')),
    brightness: number('mean of the images’ mean luma, 0 to 1'),
    contrast: number('mean of its deviation in an image'),
    seconds: number('seconds that looking took'),
  }),
  z.strictObject({
    kind: z.literal('rasters').describe('what the folder holds'),
    files: count('files'),
    ...ofFolder,
    bands: texts('names, or numbers where files do not name them'),
    areBandsNamed: truth('whether files name them'),
    dates: group(
      {
        count: count('different dates'),
        first: orNull(text('such as 2021-04-30')),
        last: orNull(text('such as 2021-04-30')),
      },
      'dates of the scenes',
    ),
    metresPerPixel: orNull(number('metres of a pixel')),
  }),
])

const proposal = group(
  {
    preset: text('name of the preset'),
    encoder: text('size of the encoder'),
    parameters: count('parameters of encoder and decoder'),
    imageSize: count('side of an image in pixels'),
    patchSize: count('side of a patch in pixels'),
    batchSize: count('images of a micro-batch'),
    accumulate: count('micro-batches of a step'),
    epochs: number('passes over the images'),
    steps: count('steps'),
    hours: number('hours that it takes'),
    memoryBytes: orNull(count('most memory of the process in bytes; null where it was not measured')),
    imagesPerSecond: number('images per second'),
    isMeasured: truth('whether it was timed here; else computed from a smaller model'),
    arguments: texts('of sherd: the command'),
  },
  'what to train',
)

export const planning = {
  plan: kind('What to train on some images in some time.', ['plan'], {
    data: survey.describe('the images'),
    like: orNull(survey.describe('images that the encoder will be used on (--like)')),
    differences: list(
      {
        what: choice(['size', 'colour', 'brightness', 'contrast', 'bands'], 'what differs'),
        text: text('in words'),
      },
      'between the two',
    ),
    machine,
    availableBytes: count('free memory in bytes'),
    hours: number('time that was asked for'),
    proposal,
    reasons: list(
      {
        what: choice(['preset', 'image', 'patch', 'batch', 'epochs', 'memory'], 'what was chosen'),
        value: text('the choice'),
        why: text('reason'),
      },
      'each choice',
    ),
    advice: texts('what to know or do besides'),
    faster: orNull(proposal.describe('a smaller model')),
    larger: orNull(proposal.describe('a larger model')),
  }),
} as const
