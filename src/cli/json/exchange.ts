/** What imports, exports and the server print. */
import { z } from 'zod'
import {
  byName,
  choice,
  count,
  group,
  kind,
  list,
  number,
  object,
  orNull,
  path,
  perhaps,
  text,
  texts,
} from './fields.ts'

const proof = {
  bytes: count('length of the file'),
  comparisons: list(
    {
      samples: choice(['random', 'images'], 'what both were given'),
      count: count('samples'),
      batches: z.array(z.int()).describe('sizes of the batches'),
      sizes: perhaps(z.array(z.array(z.int())).describe('heights and widths, where there were several')),
      largest: number('largest difference of an output'),
      cosine: number('smallest cosine of an output with that of LibTorch'),
      features: perhaps(
        byName(
          z.strictObject({
            meanCosine: number('mean cosine with that of LibTorch'),
            leastCosine: number('the smallest'),
            overlap: orNull(number("share of an image's ten nearest that stay; null: too few images")),
          }),
          "of an encoder's vectors on images, by the name of the output",
        ),
      ),
    },
    'comparisons of the file with LibTorch',
  ),
  speed: group(
    {
      onnx: number('images per second of the file'),
      libtorch: number('images per second of LibTorch in float32'),
      batch: count('images of a batch'),
    },
    'median rates',
  ),
}
const file = text('name of the file')

export const exchange = {
  graph: kind('A graph was exported.', ['export onnx'], {
    file: path('the file'),
    graph: text('encoder, autoencoder, classifier or segmenter'),
    precision: choice(['fp32', 'fp16', 'int8'], 'precision of the file'),
    ...proof,
  }),
  export: kind('A folder for another library was written.', ['export huggingface', 'export timm'], {
    task: text('what the model does'),
    architecture: text('class that loads it'),
    files: texts('what was written'),
    onnx: perhaps(list({ file, dtype: text('its type, as transformers.js calls it'), ...proof }, 'graphs')),
  }),
  import: kind('Weights of another program were read.', ['import'], {
    path: path('what was written'),
    layout: text('layout of the file, such as timm'),
    config: object('configuration of the model'),
    statistics: group(
      {
        mean: z.array(z.number()).describe('means of the channels'),
        std: z.array(z.number()).describe('standard deviations of the channels'),
        low: perhaps(z.array(z.number().nullable()).describe('lower bounds of clipping')),
        high: perhaps(z.array(z.number().nullable()).describe('upper bounds of clipping')),
      },
      'by which images are normalised',
    ),
    classes: orNull(texts('names of the classes of a head')),
    rows: list(
      {
        name: text('name of the parameter'),
        status: choice(['loaded', 'reshaped', 'missing', 'unexpected', 'left out'], 'what became of it'),
        from: texts('its names in the file'),
        why: text('reason; empty where it was simply loaded'),
      },
      'every parameter',
    ),
    notes: texts('what to know'),
    counts: byName(z.int(), 'parameters by status'),
  }),
  server: kind('The server is ready.', ['serve'], {
    url: text('address'),
    port: count('port'),
    graphs: texts('models that are served'),
    places: list(
      { method: choice(['GET', 'POST'], 'method'), url: text('path'), summary: text('what it answers') },
      'what can be asked',
    ),
  }),
} as const
