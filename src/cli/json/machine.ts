/** What the commands for the machine and for configurations print. */
import { z } from 'zod'
import * as f from './fields.ts'
import { machine } from './training.ts'

const preset = f.text('name of the preset')
const measuredOn = f.group(
  {
    cpu: f.text('name of the processor'),
    cores: f.count('cores'),
    memoryGiB: f.number('memory in GiB'),
    bfloat16: f.orNull(f.text('matrix unit of the processor for bfloat16')),
    gpu: f.orNull(f.text('first GPU that LibTorch can use')),
    libtorch: f.text('version of LibTorch'),
    node: f.text('version of Node.js'),
  },
  'the machine',
)

export const ofMachine = {
  setup: f.kind('What training needs is there.', ['setup'], {
    changed: f.truth('whether something had to be installed or compiled'),
    libtorch: f.text('version of LibTorch'),
  }),
  doctor: f.kind('What is installed, and what is missing.', ['doctor'], {
    findings: f.list(
      {
        name: f.text('what was looked at'),
        status: f.choice(['ok', 'warn', 'fail'], 'fail: training would not work; warn: slow or limited'),
        value: f.text('what was found'),
        fix: f.perhaps(f.text('what to do')),
      },
      'each thing that was looked at',
    ),
    presets: f.perhaps(
      f.list(
        {
          preset: f.text('its name'),
          batch: f.number('samples of its micro-batch'),
          imagesPerSecond: f.orNull(f.number('of a training step; null: it does not fit into the memory')),
          hours: f.orNull(f.number('of a hundred passes over ten thousand images')),
          memoryBytes: f.number('peak of the process; where it does not fit, what its weights need at least'),
          isMeasured: f.truth('false: computed from steps of smaller batches'),
        },
        'with --presets: what this machine can do with each',
      ),
    ),
  }),
  verification: f.kind('A reference file was compared.', ['verify'], {
    file: f.text('the file'),
    checks: f.list(
      {
        name: f.text('what was compared'),
        largestDifference: f.orNull(
          f.number('difference nearest to its tolerance, or farthest above; null: infinite'),
        ),
        tolerance: f.number('its tolerance'),
        isRelative: f.truth('whether both are shares of the expected number'),
        passed: f.truth('whether it is within'),
        wrong: f.orNull(f.text('where, and what was expected')),
      },
      'each number that was compared',
    ),
    notSupported: f.texts('what of the file this version cannot compute'),
    passed: f.truth('whether everything was compared and is right'),
    error: f.perhaps(f.text('why the file cannot be read')),
  }),
  presets: f.kind('The presets.', ['presets'], {
    presets: f.list(
      {
        name: preset,
        imageSize: z.array(z.int()).describe('height and width in pixels'),
        patchSize: z
          .union([z.int(), z.array(z.int())])
          .describe('pixels of a patch; height and width if they differ'),
        encoderParameters: f.count('parameters of the encoder'),
        summary: f.text('what it is for'),
      },
      'each preset',
    ),
  }),
  preset: f.kind('A preset with every key.', ['presets'], {
    name: f.orNull(f.text('name of the preset; null where --config or --set alone say it')),
    config: f.object('configuration, as --config and config.json of a run have it'),
  }),
  keys: f.kind('The keys of a configuration (--keys).', ['presets'], {
    keys: f.list(
      {
        key: f.text('path, such as optim.baseLearningRate'),
        initial: f.text('default as JSON, "required" or "derived"'),
        meaning: f.text('what it is'),
        allowed: f.text('allowed values in words'),
        values: f.perhaps(f.texts('allowed values, where they are names')),
        when: f.byName(z.array(z.string()), 'keys, and their values with which alone it is read'),
      },
      'each key',
    ),
  }),
  'bench-step': f.kind('Times of whole training steps.', ['bench step'], {
    preset,
    ...machine.shape,
    batch: f.count('images of a step'),
    medianStepSeconds: f.number('median seconds of a step'),
    imagesPerSecond: f.number('images per second'),
    modelFlopsPerImage: f.number('operations that the model needs for an image'),
    modelTflops: f.number('TFLOP/s of the model'),
    gemmPeakTflops: f.number('TFLOP/s of large matrix products'),
    shareOfPeak: f.number('share of the two'),
    peakBytes: f.count('most memory of the process in bytes'),
    seconds: f.numbers('seconds of each step'),
    measuredOn,
  }),
  'bench-data': f.kind('Times of the loader.', ['bench data'], {
    preset,
    images: f.count('images of the folder'),
    batch: f.count('images of a batch'),
    decodeThreads: f.count('images that are decoded at once'),
    imagesPerSecond: f.number('images per second'),
    imagesPerSecondPerThread: f.number('images per second of each thread'),
    batchSeconds: f.group(
      {
        p50: f.number('median'),
        p95: f.number('95 % are not above'),
        all: f.numbers('each'),
      },
      'seconds between one batch and the next',
    ),
    bytesRead: f.orNull(f.count('bytes that were read; null if unknown')),
    skipped: f.count('files that could not be used'),
    need: f.orNull(
      f.group(
        {
          imagesPerSecond: f.number('images per second that training takes (--need)'),
          isEnough: f.truth('whether the loader gives so many'),
        },
        'compared with training; null without --need',
      ),
    ),
    measuredOn,
  }),
  'bench-gemm': f.kind('Rates of matrix products.', ['bench gemm'], {
    preset,
    machine,
    rows: f.list(
      {
        name: f.text('square, or a layer such as blocks.mlp.fc1'),
        shape: f.group(
          {
            rows: f.count('rows'),
            inner: f.count('columns of the first, rows of the second'),
            columns: f.count('columns'),
            batch: f.count('products at once'),
          },
          'of the product',
        ),
        float32: f.number('GFLOP/s in float32'),
        bfloat16: f.number('GFLOP/s in bfloat16'),
      },
      'each product',
    ),
    peak: f.group(
      { float32: f.number('GFLOP/s in float32'), bfloat16: f.number('GFLOP/s in bfloat16') },
      'best rates',
    ),
    measuredOn,
  }),
} as const
