/** What `evaluate` and `reconstruct` print. */
import { z } from 'zod'
import * as f from './fields.ts'

const overSeeds = (what: string) =>
  f.group(
    {
      mean: f.number('mean over the seeds'),
      deviation: f.number('standard deviation (n − 1); 0 for one seed'),
    },
    what,
  )

const common = {
  model: f.group(
    {
      path: f.text('the model, or "random"'),
      step: f.orNull(f.count('training steps of it, where they are known')),
      precision: f.precision,
    },
    'what was measured',
  ),
  data: f.group(
    {
      train: f.text('folder of the training images'),
      test: f.text('folder of the test images, or what was held out'),
      trainImages: f.count('training images'),
      testImages: f.count('test images'),
      skipped: f.skipped,
      fingerprints: f.group(
        { train: f.text('of the training images'), test: f.text('of the test images') },
        'hashes of names and classes: equal ones mean the same images',
      ),
    },
    'what it was measured on',
  ),
  reads: f.perhaps(
    f.group(
      {
        feature: f.text("what stands for an image: the model's own vector, what a head reads, or patches"),
        convention: f.orNull(f.text('whose convention it is; null for a model of sherd')),
        imageSize: f.counts('height and width of the images'),
        preparation: f.text('how they are cut, resized and normalised'),
      },
      'what was read of an image',
    ),
  ),
  classes: f.texts('names of the classes'),
  settings: f.object('settings of the protocol'),
  seeds: f.counts('a repetition for each'),
  seconds: f.number('seconds that it took'),
}

/** A way that was tried. */
const way = {
  group: f.text('training images, such as "1 %"; empty for all'),
  pooling: f.text('feature of an image: cls, mean, cls+mean, pooled or layer:K'),
  setting: f.text('number of neighbours, learning rate …'),
  top1: overSeeds('share of test images whose class was named, 0 to 1'),
  top5: f.orNull(overSeeds('share with the class among five; null for up to five classes')),
  meanRecall: overSeeds('mean of the recalls of the classes'),
  macroF1: overSeeds('mean of the F1 of the classes'),
  heldOut: f.orNull(f.number('top-1 on training images that were held out; null if not measured')),
}

export const reports = {
  evaluation: f.kind(
    'The report of an evaluation; report.json holds it, too.',
    ['knn', 'linear', 'fewshot', 'frozen', 'finetune', 'partial', 'scratch'].map(
      (name) => `evaluate ${name}`,
    ),
    {
      format: z.literal('sherd-evaluation/2').describe('version of the report'),
      protocol: f.text('name of the protocol'),
      title: f.text('what the protocol does'),
      ...common,
      rows: f.list(way, 'every way that was tried'),
      chosen: f.counts('places in rows, one for each group: what counts'),
      scores: f.group(
        {
          images: f.count('test images'),
          top1: f.number('share whose class was named'),
          top5: f.orNull(f.number('share with the class among five; null for up to five classes')),
          meanRecall: f.number('mean of the recalls of the classes'),
          macroF1: f.number('mean of the F1 of the classes'),
          classes: f.list(
            {
              name: f.text('name of the class'),
              images: f.count('test images of it'),
              recall: f.number('share of its images that were found'),
              precision: f.orNull(f.number('share that is right of what was called so; null if nothing was')),
              f1: f.orNull(f.number('harmonic mean of the two; null without images and without predictions')),
            },
            'each class',
          ),
          confusion: z.array(z.array(z.int())).describe('images by true and by named class'),
        },
        'of the last chosen row, first seed',
      ),
      chance: f.number('top-1 of always naming the commonest class'),
      random: f.perhaps(
        f.orNull(
          f.group(
            {
              seed: f.count('seed of the weights'),
              rows: f.list(way, 'every way that was tried'),
              chosen: f.counts('places in rows, one for each group'),
            },
            'the same network with random weights; null for random weights themselves and with --no-baseline',
          ),
        ),
      ),
      validation: f.perhaps(
        f.group(
          {
            images: f.count('validation images'),
            of: f.text('which they are'),
            isTest: f.truth('whether these are the test images'),
            attempts: f.list(
              {
                seed: f.count('seed'),
                epoch: f.count('the best epoch, from 1'),
                top1: f.numbers('top-1 on them after each epoch'),
              },
              'each seed',
            ),
          },
          'the images that chose the epoch of fine-tuning',
        ),
      ),
      warnings: f.texts('what to know before believing the result'),
      spread: f.perhaps(
        f.byName(
          z.strictObject({
            effectiveRank: f.number('effective rank, from 1 to the width'),
            deviation: f.number('0: all features are equal; 1: they are spread evenly'),
          }),
          'how far the features of the training images spread, by pooling',
        ),
      ),
    },
  ),
  segmentation: f.kind('The report of segmentation heads; report.json holds it, too.', ['evaluate segment'], {
    format: z.literal('sherd-segmentation/2').describe('version of the report'),
    ...common,
    rows: f.list(
      {
        head: f.choice(['linear', 'conv'], 'name of the head'),
        title: f.text('what the head is'),
        meanIou: overSeeds('mean intersection over union of the classes, 0 to 1'),
        pixelAccuracy: overSeeds('share of pixels that are right'),
        meanAccuracy: overSeeds('mean of the recalls of the classes'),
        overlap: f.group(
          {
            pixels: f.count('labelled pixels'),
            meanIou: f.number('mean intersection over union'),
            pixelAccuracy: f.number('share of pixels that are right'),
            meanAccuracy: f.number('mean of the recalls of the classes'),
            classes: f.list(
              {
                name: f.text('name of the class'),
                share: f.number('share of the labelled pixels'),
                iou: f.orNull(f.number('intersection over union; null where nothing is or was called so')),
                accuracy: f.orNull(f.number('share of its pixels that were found; null without any')),
                precision: f.orNull(
                  f.number('share that is right of what was called so; null if nothing was'),
                ),
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
    chance: f.group(
      {
        meanIou: f.number('mean intersection over union'),
        pixelAccuracy: f.number('share of pixels that are right'),
      },
      'of always naming the commonest class',
    ),
  }),
  comparison: f.kind('Reports beside each other.', ['compare'], {
    of: f.choice(['classification', 'segmentation'], 'what the reports measure'),
    metric: f.text('name of the value that is compared'),
    rows: f.list(
      {
        report: f.text('folder of the report'),
        model: f.text('the model'),
        protocol: f.text('name of the protocol'),
        group: f.text('training images, such as "1 %"; empty for all'),
        setting: f.text('setting that counts, or the head'),
        values: f.byName(f.orNull(overSeeds('null where the report does not say it')), 'its values'),
        attempts: f.count('seeds'),
        difference: f.orNull(f.number('to the first row; null for that, and where they cannot be compared')),
        exceedsSpread: f.orNull(
          f.truth('whether it is larger than both deviations; null with a single seed'),
        ),
        remarks: f.texts('what else differs from the first report'),
      },
      'each result',
    ),
    testImages: f.count('test images of the first report'),
    samplingError: f.orNull(f.number('standard error of its value for having drawn these images')),
  }),
  'mask-preview': f.kind('Every kind of mask was drawn on a few images.', ['masks preview'], {
    out: f.path('the picture'),
    images: f.count('images in it'),
    masks: f.list(
      {
        kind: f.text('value of mask.kind'),
        hidden: f.count('hidden patches of an image'),
        patches: f.count('patches of an image'),
      },
      'a row of the picture for each',
    ),
    leftOut: f.list(
      { kind: f.text('value of mask.kind'), reason: f.text('what does not fit, and what helps') },
      'kinds that the configuration does not allow',
    ),
  }),
  reconstruction: f.kind('What a model rebuilt.', ['reconstruct'], {
    out: f.path('the picture'),
    images: f.count('images in it'),
    step: f.orNull(f.count('training steps of the model, where they are known')),
    precision: f.precision,
    quality: f.list(
      {
        statistics: f.choice(
          ['raw', 'neighbours', 'true'],
          'where brightness and contrast of hidden patches come from',
        ),
        psnr: f.orNull(f.number('peak signal-to-noise ratio in dB; null for a perfect copy')),
        ssim: f.number('structural similarity, at most 1'),
      },
      'mean over the hidden patches of the images; empty where the target is no pixels',
    ),
    error: f.perhaps(f.number('mean error of what is predicted, where the target is no pixels')),
  }),
} as const
