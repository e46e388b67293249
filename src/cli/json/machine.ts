/** What the commands for the machine and for configurations print. */
import { z } from 'zod'
import {
  byName,
  choice,
  count,
  group,
  kind,
  list,
  number,
  numbers,
  object,
  orNull,
  perhaps,
  text,
  texts,
  truth,
} from './fields.ts'
import { machine } from './training.ts'

const preset = text('name of the preset')
const measuredOn = group(
  {
    cpu: text('name of the processor'),
    cores: count('cores'),
    memoryGiB: number('memory in GiB'),
    bfloat16: orNull(text('matrix unit of the processor for bfloat16')),
    gpu: orNull(text('first GPU that LibTorch can use')),
    libtorch: text('version of LibTorch'),
    node: text('version of Node.js'),
  },
  'the machine',
)

export const ofMachine = {
  setup: kind('What training needs is there.', ['setup'], {
    changed: truth('whether something had to be installed or compiled'),
    libtorch: text('version of LibTorch'),
  }),
  doctor: kind('What is installed, and what is missing.', ['doctor'], {
    findings: list(
      {
        name: text('what was looked at'),
        status: choice(['ok', 'warn', 'fail'], 'fail: training would not work; warn: slow or limited'),
        value: text('what was found'),
        fix: perhaps(text('what to do')),
      },
      'each thing that was looked at',
    ),
    presets: perhaps(
      list(
        {
          preset: text('its name'),
          batch: number('samples of its micro-batch'),
          imagesPerSecond: orNull(number('of a training step; null: it does not fit into the memory')),
          hours: orNull(number('of a hundred passes over ten thousand images')),
          memoryBytes: number('peak of the process; where it does not fit, what its weights need at least'),
          isMeasured: truth('false: computed from steps of smaller batches'),
        },
        'with --presets: what this machine can do with each',
      ),
    ),
  }),
  verification: kind('A reference file was compared.', ['verify'], {
    file: text('the file'),
    checks: list(
      {
        name: text('what was compared'),
        largestDifference: orNull(
          number('difference nearest to its tolerance, or farthest above; null: infinite'),
        ),
        tolerance: number('its tolerance'),
        isRelative: truth('whether both are shares of the expected number'),
        passed: truth('whether it is within'),
        wrong: orNull(text('where, and what was expected')),
      },
      'each number that was compared',
    ),
    notSupported: texts('what of the file this version cannot compute'),
    passed: truth('whether everything was compared and is right'),
    error: perhaps(text('why the file cannot be read')),
  }),
  presets: kind('The presets.', ['presets'], {
    presets: list(
      {
        name: preset,
        imageSize: z.array(z.int()).describe('height and width in pixels'),
        patchSize: z
          .union([z.int(), z.array(z.int())])
          .describe('pixels of a patch; height and width if they differ'),
        encoderParameters: count('parameters of the encoder'),
        summary: text('what it is for'),
      },
      'each preset',
    ),
  }),
  preset: kind('A preset with every key.', ['presets'], {
    name: orNull(text('name of the preset; null where --config or --set alone say it')),
    config: object('configuration, as --config and config.json of a run have it'),
  }),
  keys: kind('The keys of a configuration (--keys).', ['presets'], {
    keys: list(
      {
        key: text('path, such as optim.baseLearningRate'),
        initial: text('default as JSON, "required" or "derived"'),
        meaning: text('what it is'),
        allowed: text('allowed values in words'),
        values: perhaps(texts('allowed values, where they are names')),
        when: byName(z.array(z.string()), 'keys, and their values with which alone it is read'),
      },
      'each key',
    ),
  }),
  'bench-step': kind('Times of whole training steps.', ['bench step'], {
    preset,
    ...machine.shape,
    batch: count('images of a step'),
    medianStepSeconds: number('median seconds of a step'),
    imagesPerSecond: number('images per second'),
    modelFlopsPerImage: number('operations that the model needs for an image'),
    modelTflops: number('TFLOP/s of the model'),
    gemmPeakTflops: number('TFLOP/s of large matrix products'),
    shareOfPeak: number('share of the two'),
    peakBytes: count('most memory of the process in bytes'),
    seconds: numbers('seconds of each step'),
    measuredOn,
  }),
  'bench-data': kind('Times of the loader.', ['bench data'], {
    preset,
    images: count('images of the folder'),
    batch: count('images of a batch'),
    decodeThreads: count('images that are decoded at once'),
    imagesPerSecond: number('images per second'),
    imagesPerSecondPerThread: number('images per second of each thread'),
    batchSeconds: group(
      {
        p50: number('median'),
        p95: number('95 % are not above'),
        all: numbers('each'),
      },
      'seconds between one batch and the next',
    ),
    bytesRead: orNull(count('bytes that were read; null if unknown')),
    skipped: count('files that could not be used'),
    need: orNull(
      group(
        {
          imagesPerSecond: number('images per second that training takes (--need)'),
          isEnough: truth('whether the loader gives so many'),
        },
        'compared with training; null without --need',
      ),
    ),
    measuredOn,
  }),
  'bench-gemm': kind('Rates of matrix products.', ['bench gemm'], {
    preset,
    machine,
    rows: list(
      {
        name: text('square, or a layer such as blocks.mlp.fc1'),
        shape: group(
          {
            rows: count('rows'),
            inner: count('columns of the first, rows of the second'),
            columns: count('columns'),
            batch: count('products at once'),
          },
          'of the product',
        ),
        float32: number('GFLOP/s in float32'),
        bfloat16: number('GFLOP/s in bfloat16'),
      },
      'each product',
    ),
    peak: group(
      { float32: number('GFLOP/s in float32'), bfloat16: number('GFLOP/s in bfloat16') },
      'best rates',
    ),
    measuredOn,
  }),
} as const
