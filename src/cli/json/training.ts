/** The events of a run, as `pretrain` and `demo` print them. */
import { z } from 'zod'
import {
  byName,
  choice,
  count,
  group,
  kind,
  list,
  number,
  orNull,
  path,
  perhaps,
  text,
  texts,
} from './fields.ts'

const by = ['pretrain', 'demo']
const time = text('when, as ISO 8601')
const step = count('optimizer steps that were taken')

const metricFields = {
  name: text('path in a step or a probe, such as parts.pixels'),
  kind: choice(['loss', 'schedule', 'health', 'throughput', 'probe'], 'what sort of number it is'),
  unit: text('unit; empty for plain numbers'),
  chance: perhaps(
    z
      .union([z.number(), z.string()])
      .nullable()
      .describe('value where nothing is learned: a number, or the name of a number of the same object'),
  ),
  chanceOf: perhaps(text('what has that value, such as predicting the mean')),
  alarm: perhaps(
    group(
      {
        below: perhaps(number('reported when the value is below')),
        above: perhaps(number('reported when the value is above')),
        forSteps: count('steps in a row before it is reported'),
        text: text('what it means and what helps'),
      },
      'bounds of the number',
    ),
  ),
}

export const machine = group(
  {
    device: text('cpu or cuda'),
    precision: choice(['float32', 'bfloat16'], 'type of matrix products'),
    threads: count('threads of an operator of LibTorch'),
    decodeThreads: count('images that are decoded at once'),
  },
  'what of the machine is used',
)

export const training = {
  demo: kind('What the demonstration has written.', ['demo'], {
    run: path('folder of the run'),
    page: path('the page to open in a browser'),
  }),
  start: kind('The run begins, or continues.', by, {
    run: path('folder of the run'),
    preset: text('name of the preset'),
    data: path('folder of the images'),
    images: count('training images'),
    classes: count('folders of classes; 0 where the images have none'),
    parameters: count('parameters of the model'),
    effectiveBatch: count('images of a step'),
    totalSteps: count('steps of the whole run'),
    firstStep: count('steps of the checkpoint that it continues from; 0 for a new run'),
    peakLearningRate: number('highest learning rate of the schedule'),
    metrics: list(metricFields, 'every number that is logged'),
    libtorch: text('version of LibTorch'),
    machine,
    changes: texts('differences from the configuration of the run that is continued'),
  }),
  fitted: kind('The steps were fitted to a time (--hours).', by, {
    hours: number('time that was asked for'),
    steps: count('steps that end in it'),
    epochs: number('passes over the images of the whole run'),
    imagesPerSecond: number('images per second'),
    stepSeconds: number('median seconds of a step'),
    checkpointSeconds: number('seconds to save a checkpoint'),
    pictureSeconds: number('seconds to draw the reconstructions; 0 for none'),
    probeSeconds: number('seconds of a probe; 0 for none'),
    seconds: number('seconds from the start to the end, as expected'),
  }),
  cost: kind('What the run costs here, once steps were timed.', by, {
    step,
    totalSteps: count('steps of the whole run'),
    images: count('training images'),
    epochs: number('passes over the images of the whole run'),
    stepSeconds: number('median seconds of a step'),
    imagesPerSecond: number('images per second'),
    secondsLeft: number('seconds until the end'),
    besideSeconds: number('of these for checkpoints, pictures and probes'),
  }),
  inherited: kind('A new run has begun with the weights of another model (--init).', by, {
    path: path('the other model'),
    loaded: texts('parameters that were taken'),
    inflated: texts('embeddings that were made for other bands'),
    resampled: texts('positions that were resampled from another grid'),
    fresh: list(
      { name: text('name of the parameter'), why: text('reason') },
      'parameters that were initialised at random',
    ),
    unused: texts('parameters of the other model that were not used'),
  }),
  step: kind('A step was taken; every log.everySteps of them.', by, {
    step,
    epoch: number('passes over the images'),
    loss: number('loss before the update'),
    parts: perhaps(byName(z.number(), 'parts of the loss')),
    metrics: perhaps(byName(z.number(), 'what else the objective measures')),
    learningRate: number('learning rate of the step'),
    schedules: byName(z.number(), 'values of all schedules'),
    gradientNorm: number('norm of all gradients, before clipping'),
    imagesPerSecond: number('images per second'),
    stepSeconds: number('seconds that the step took'),
    dataWaitSeconds: number('seconds of them that it waited for images'),
    residentBytes: count('memory of the process in bytes'),
    time,
  }),
  skip: kind('A file cannot be used, and the run continues without it.', by, {
    file: text('path below the folder of the images'),
    reason: text('why'),
  }),
  checkpoint: kind('A checkpoint was saved.', by, { step, path: path('folder of the checkpoint') }),
  picture: kind('A picture of reconstructions was drawn.', by, { step, path: path('the picture') }),
  trouble: kind('A step was not finite and changed nothing.', by, {
    step,
    message: text('what was not finite'),
    inARow: count('such steps in a row'),
    skippedSteps: count('such steps in all'),
  }),
  rollback: kind('The run went back, and continues in another order of the images.', by, {
    from: count('step that it had reached'),
    to: count('step that it went back to'),
    rollbacks: count('how often it has gone back'),
    message: text('why'),
  }),
  probe: kind('The encoder was measured on labelled images (--probe).', by, {
    step,
    knn: byName(z.number(), 'top-1 of the nearest neighbours, 0 to 1, by pooling'),
    linear: byName(z.number(), 'top-1 of a linear probe, 0 to 1, by pooling'),
    chance: number('top-1 of always naming the commonest class'),
    effectiveRank: byName(z.number(), 'effective rank of the features, by pooling'),
    seconds: number('seconds that it took'),
    time,
  }),
  warning: kind('Something beside the training failed; the run continues.', by, {
    message: text('what, and what helps'),
  }),
  profile: kind('Where the time went (--profile).', by, {
    path: path('the trace'),
    steps: count('steps that were recorded'),
    stepSeconds: number('mean seconds of a step'),
    shares: byName(z.number(), 'share of the time, 0 to 1, by part of a step'),
  }),
  end: kind('The run has ended.', by, {
    reason: choice(['completed', 'interrupted'], 'whether it is complete, or can be continued'),
    step,
    totalSteps: count('steps of the whole run'),
    loss: orNull(number('loss of the last step; null where none was finite')),
    firstLoss: orNull(number('first loss that was logged')),
    seconds: orNull(number('seconds of this process; null for a run that was complete before')),
    imagesPerSecond: orNull(number('mean images per second, without checkpoints, pictures and probes')),
    checkpoint: orNull(path('folder of the last checkpoint')),
    picture: orNull(path('last picture of reconstructions')),
    lossCurve: orNull(path('picture of the loss')),
    skipped: count('files that could not be used'),
    skippedSteps: count('steps that were not finite'),
    rollbacks: count('how often the run went back'),
  }),
} as const
