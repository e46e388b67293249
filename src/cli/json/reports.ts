/** What `evaluate` and `reconstruct` print. */
import { z } from 'zod'
import {
  byName,
  choice,
  count,
  counts,
  group,
  kind,
  list,
  number,
  numbers,
  object,
  orNull,
  path,
  perhaps,
  precision,
  skipped,
  text,
  texts,
  truth,
} from './fields.ts'

const overSeeds = (what: string) =>
  group(
    { mean: number('mean over the seeds'), deviation: number('standard deviation (n − 1); 0 for one seed') },
    what,
  )

const common = {
  model: group(
    {
      path: text('the model, or "random"'),
      step: orNull(count('training steps of it, where they are known')),
      precision,
    },
    'what was measured',
  ),
  data: group(
    {
      train: text('folder of the training images'),
      test: text('folder of the test images, or what was held out'),
      trainImages: count('training images'),
      testImages: count('test images'),
      skipped,
      fingerprints: group(
        { train: text('of the training images'), test: text('of the test images') },
        'hashes of names and classes: equal ones mean the same images',
      ),
    },
    'what it was measured on',
  ),
  classes: texts('names of the classes'),
  settings: object('settings of the protocol'),
  seeds: counts('a repetition for each'),
  seconds: number('seconds that it took'),
}

export const reports = {
  evaluation: kind(
    'The report of an evaluation; report.json holds it, too.',
    ['knn', 'linear', 'fewshot', 'frozen', 'finetune', 'partial', 'scratch'].map(
      (name) => `evaluate ${name}`,
    ),
    {
      format: z.literal('sherd-evaluation/2').describe('version of the report'),
      protocol: text('name of the protocol'),
      title: text('what the protocol does'),
      ...common,
      rows: list(
        {
          group: text('training images, such as "1 %"; empty for all'),
          pooling: choice(['cls', 'mean'], 'feature of an image'),
          setting: text('number of neighbours, learning rate …'),
          top1: overSeeds('share of test images whose class was named, 0 to 1'),
          top5: orNull(overSeeds('share with the class among five; null for up to five classes')),
          meanRecall: overSeeds('mean of the recalls of the classes'),
          macroF1: overSeeds('mean of the F1 of the classes'),
          heldOut: orNull(number('top-1 on training images that were held out; null if not measured')),
        },
        'every way that was tried',
      ),
      chosen: counts('places in rows, one for each group: what counts'),
      scores: group(
        {
          images: count('test images'),
          top1: number('share whose class was named'),
          top5: orNull(number('share with the class among five; null for up to five classes')),
          meanRecall: number('mean of the recalls of the classes'),
          macroF1: number('mean of the F1 of the classes'),
          classes: list(
            {
              name: text('name of the class'),
              images: count('test images of it'),
              recall: number('share of its images that were found'),
              precision: orNull(number('share that is right of what was called so; null if nothing was')),
              f1: orNull(number('harmonic mean of the two; null without images and without predictions')),
            },
            'each class',
          ),
          confusion: z.array(z.array(z.int())).describe('images by true and by named class'),
        },
        'of the last chosen row, first seed',
      ),
      chance: number('top-1 of always naming the commonest class'),
      validation: perhaps(
        group(
          {
            images: count('validation images'),
            of: text('which they are'),
            isTest: truth('whether these are the test images'),
            attempts: list(
              {
                seed: count('seed'),
                epoch: count('the best epoch, from 1'),
                top1: numbers('top-1 on them after each epoch'),
              },
              'each seed',
            ),
          },
          'the images that chose the epoch of fine-tuning',
        ),
      ),
      warnings: texts('what to know before believing the result'),
      spread: perhaps(
        byName(
          z.strictObject({
            effectiveRank: number('effective rank, from 1 to the width'),
            deviation: number('0: all features are equal; 1: they are spread evenly'),
          }),
          'how far the features of the training images spread, by pooling',
        ),
      ),
    },
  ),
  segmentation: kind('The report of segmentation heads; report.json holds it, too.', ['evaluate segment'], {
    format: z.literal('sherd-segmentation/2').describe('version of the report'),
    ...common,
    rows: list(
      {
        head: choice(['linear', 'conv'], 'name of the head'),
        title: text('what the head is'),
        meanIou: overSeeds('mean intersection over union of the classes, 0 to 1'),
        pixelAccuracy: overSeeds('share of pixels that are right'),
        meanAccuracy: overSeeds('mean of the recalls of the classes'),
        overlap: group(
          {
            pixels: count('labelled pixels'),
            meanIou: number('mean intersection over union'),
            pixelAccuracy: number('share of pixels that are right'),
            meanAccuracy: number('mean of the recalls of the classes'),
            classes: list(
              {
                name: text('name of the class'),
                share: number('share of the labelled pixels'),
                iou: orNull(number('intersection over union; null where nothing is or was called so')),
                accuracy: orNull(number('share of its pixels that were found; null without any')),
                precision: orNull(number('share that is right of what was called so; null if nothing was')),
              },
              'each class',
            ),
          },
          'of the first seed',
        ),
        confusion: z.array(z.array(z.int())).describe('pixels by true and by named class, first seed'),
      },
      'each head',
    ),
    chance: group(
      {
        meanIou: number('mean intersection over union'),
        pixelAccuracy: number('share of pixels that are right'),
      },
      'of always naming the commonest class',
    ),
  }),
  comparison: kind('Reports beside each other.', ['compare'], {
    of: choice(['classification', 'segmentation'], 'what the reports measure'),
    metric: text('name of the value that is compared'),
    rows: list(
      {
        report: text('folder of the report'),
        model: text('the model'),
        protocol: text('name of the protocol'),
        group: text('training images, such as "1 %"; empty for all'),
        setting: text('setting that counts, or the head'),
        values: byName(orNull(overSeeds('null where the report does not say it')), 'its values'),
        attempts: count('seeds'),
        difference: orNull(number('to the first row; null for that, and where they cannot be compared')),
        exceedsSpread: orNull(truth('whether it is larger than both deviations; null with a single seed')),
        remarks: texts('what else differs from the first report'),
      },
      'each result',
    ),
    testImages: count('test images of the first report'),
    samplingError: orNull(number('standard error of its value for having drawn these images')),
  }),
  reconstruction: kind('What a model rebuilt.', ['reconstruct'], {
    out: path('the picture'),
    images: count('images in it'),
    step: orNull(count('training steps of the model, where they are known')),
    precision,
    quality: list(
      {
        statistics: choice(
          ['raw', 'neighbours', 'true'],
          'where brightness and contrast of hidden patches come from',
        ),
        psnr: orNull(number('peak signal-to-noise ratio in dB; null for a perfect copy')),
        ssim: number('structural similarity, at most 1'),
      },
      'mean over the hidden patches of the images; empty where the target is no pixels',
    ),
    error: perhaps(number('mean error of hidden patches, where the target is no pixels')),
  }),
} as const
