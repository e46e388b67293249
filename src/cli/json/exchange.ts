/** What imports, exports and the server print. */
import { z } from 'zod'
import * as f from './fields.ts'

const proof = {
  bytes: f.count('length of the file'),
  comparisons: f.list(
    {
      samples: f.choice(['random', 'images'], 'what both were given'),
      count: f.count('samples'),
      batches: z.array(z.int()).describe('sizes of the batches'),
      sizes: f.perhaps(z.array(z.array(z.int())).describe('heights and widths, where there were several')),
      largest: f.number('largest difference of an output'),
      cosine: f.number('smallest cosine of an output with that of LibTorch'),
      features: f.perhaps(
        f.byName(
          z.strictObject({
            meanCosine: f.number('mean cosine with that of LibTorch'),
            leastCosine: f.number('the smallest'),
            overlap: f.orNull(f.number("share of an image's ten nearest that stay; null: too few images")),
          }),
          "of an encoder's vectors on images, by the name of the output",
        ),
      ),
    },
    'comparisons of the file with LibTorch',
  ),
  speed: f.group(
    {
      onnx: f.number('images per second of the file'),
      libtorch: f.number('images per second of LibTorch in float32'),
      batch: f.count('images of a batch'),
    },
    'median rates',
  ),
}
const file = f.text('name of the file')

const encoder = {
  name: f.text('its name here'),
  family: f.text('what kind it is, such as DINOv2'),
  hub: f.text('owner and name on the Hugging Face hub'),
  timm: f.orNull(f.text("timm's name of the same weights; null where it has none")),
  parameters: f.count('parameters of the encoder'),
  flops: f.count('floating-point operations for an image'),
  width: f.count('numbers of the feature'),
  patchSize: z
    .union([z.int(), z.array(z.int())])
    .describe('pixels of a patch; height and width if they differ'),
  imageSize: z.array(z.int()).describe('height and width in pixels that images are brought to'),
  feature: f.text('the vector that its authors take for an image'),
  images: f.text('what it was trained on'),
  paper: f.text('who described it, where'),
  licence: f.text("the authors' licence, as the hub calls it"),
  pageLicence: f.text('the licence that its page on the hub names'),
  use: f.choice(['any', 'non-commercial', 'terms'], 'what the licence allows'),
  isGated: f.truth('whether one must agree to conditions before a download'),
  mean: z.array(z.number()).describe('of each channel, of values from 0 to 1'),
  std: z.array(z.number()).describe('of each channel'),
}

export const exchange = {
  models: f.kind('Published encoders.', ['models list'], { models: f.list(encoder, 'each encoder') }),
  model: f.kind('A published encoder.', ['models show'], encoder),
  graph: f.kind('A graph was exported.', ['export onnx'], {
    file: f.path('the file'),
    graph: f.text('encoder, autoencoder, classifier or segmenter'),
    precision: f.choice(['fp32', 'fp16', 'int8'], 'precision of the file'),
    ...proof,
  }),
  export: f.kind('A folder for another library was written.', ['export huggingface', 'export timm'], {
    task: f.text('what the model does'),
    architecture: f.text('class that loads it'),
    files: f.texts('what was written'),
    onnx: f.perhaps(
      f.list({ file, dtype: f.text('its type, as transformers.js calls it'), ...proof }, 'graphs'),
    ),
  }),
  download: f.kind('A model of the Hugging Face hub is in the cache.', ['download'], {
    model: f.text('its name with its commit'),
    path: f.path('where it lies'),
  }),
  push: f.kind('A folder was uploaded to the Hugging Face hub.', ['export huggingface'], {
    model: f.text('its name with its commit'),
    page: f.text('address of its page'),
    repo: f.text('owner/name'),
    isNew: f.truth('whether the repository was made'),
    bytes: f.count('length of what was uploaded'),
    added: f.texts('files that were not there'),
    replaced: f.texts('files that had other content'),
    same: f.texts('files that were there already'),
    kept: f.texts('files of the repository that are not of the folder'),
  }),
  import: f.kind('Weights of another program were read.', ['import'], {
    path: f.path('what was written'),
    layout: f.text('layout of the file, such as timm'),
    family: f.text('kind of encoder, such as dinov2 or clip'),
    taken: f.group(
      {
        tensors: f.count('tensors of numbers that were taken'),
        of: f.count('tensors of numbers in the file'),
        share: f.number('share of all values that were taken'),
      },
      'how much of the file was taken',
    ),
    config: f.object('configuration of the model'),
    statistics: f.group(
      {
        mean: z.array(z.number()).describe('means of the channels'),
        std: z.array(z.number()).describe('standard deviations of the channels'),
        low: f.perhaps(z.array(z.number().nullable()).describe('lower bounds of clipping')),
        high: f.perhaps(z.array(z.number().nullable()).describe('upper bounds of clipping')),
      },
      'by which images are normalised',
    ),
    classes: f.orNull(f.texts('names of the classes of a head')),
    rows: f.list(
      {
        name: f.text('name of the parameter'),
        status: f.choice(['loaded', 'reshaped', 'missing', 'unexpected', 'left out'], 'what became of it'),
        from: f.texts('its names in the file'),
        why: f.text('reason; empty where it was simply loaded'),
      },
      'every parameter',
    ),
    notes: f.texts('what to know'),
    counts: f.byName(z.int(), 'parameters by status'),
  }),
  server: f.kind('The server is ready.', ['serve'], {
    url: f.text('address'),
    port: f.count('port'),
    graphs: f.texts('models that are served'),
    places: f.list(
      {
        method: f.choice(['GET', 'POST'], 'method'),
        url: f.text('path'),
        summary: f.text('what it answers'),
      },
      'what can be asked',
    ),
  }),
} as const
