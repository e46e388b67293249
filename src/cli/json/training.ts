/** The events of a run, as `pretrain` and `demo` print them. */
import { z } from 'zod'
import * as f from './fields.ts'

const by = ['pretrain', 'demo']
const time = f.text('when, as ISO 8601')
const step = f.count('optimizer steps that were taken')

const metricFields = {
  name: f.text('path in a step or a probe, such as parts.pixels'),
  kind: f.choice(['loss', 'schedule', 'health', 'throughput', 'probe'], 'what sort of number it is'),
  unit: f.text('unit; empty for plain numbers'),
  chance: f.perhaps(
    z
      .union([z.number(), z.string()])
      .nullable()
      .describe('value where nothing is learned: a number, or the name of a number of the same object'),
  ),
  chanceOf: f.perhaps(f.text('what has that value, such as predicting the mean')),
  alarm: f.perhaps(
    f.group(
      {
        below: f.perhaps(f.number('reported when the value is below')),
        above: f.perhaps(f.number('reported when the value is above')),
        forSteps: f.count('steps in a row before it is reported'),
        text: f.text('what it means and what helps'),
      },
      'bounds of the number',
    ),
  ),
}

export const machine = f.group(
  {
    device: f.text('cpu or cuda'),
    precision: f.choice(['float32', 'bfloat16'], 'type of matrix products'),
    threads: f.count('threads of an operator of LibTorch'),
    decodeThreads: f.count('images that are decoded at once'),
  },
  'what of the machine is used',
)

export const training = {
  demo: f.kind('What the demonstration has written.', ['demo'], {
    run: f.path('folder of the run'),
    page: f.path('the page to open in a browser'),
  }),
  start: f.kind('The run begins, or continues.', by, {
    run: f.path('folder of the run'),
    preset: f.text('name of the preset'),
    data: f.path('folder of the images'),
    images: f.count('training images'),
    classes: f.count('folders of classes; 0 where the images have none'),
    parameters: f.count('parameters of the model'),
    effectiveBatch: f.count('images of a step'),
    totalSteps: f.count('steps of the whole run'),
    firstStep: f.count('steps of the checkpoint that it continues from; 0 for a new run'),
    peakLearningRate: f.number('highest learning rate of the schedule'),
    metrics: f.list(metricFields, 'every number that is logged'),
    libtorch: f.text('version of LibTorch'),
    machine,
    changes: f.texts('differences from the configuration of the run that is continued'),
  }),
  fitted: f.kind('The steps were fitted to a time (--hours).', by, {
    hours: f.number('time that was asked for'),
    steps: f.count('steps that end in it'),
    epochs: f.number('passes over the images of the whole run'),
    imagesPerSecond: f.number('images per second'),
    stepSeconds: f.number('median seconds of a step'),
    checkpointSeconds: f.number('seconds to save a checkpoint'),
    pictureSeconds: f.number('seconds to draw the reconstructions; 0 for none'),
    probeSeconds: f.number('seconds of a probe; 0 for none'),
    seconds: f.number('seconds from the start to the end, as expected'),
  }),
  cost: f.kind('What the run costs here, once steps were timed.', by, {
    step,
    totalSteps: f.count('steps of the whole run'),
    images: f.count('training images'),
    epochs: f.number('passes over the images of the whole run'),
    stepSeconds: f.number('median seconds of a step'),
    imagesPerSecond: f.number('images per second'),
    secondsLeft: f.number('seconds until the end'),
    besideSeconds: f.number('of these for checkpoints, pictures and probes'),
  }),
  inherited: f.kind('A new run has begun with the weights of another model (--init).', by, {
    path: f.path('the other model'),
    loaded: f.texts('parameters that were taken'),
    inflated: f.texts('embeddings that were made for other bands'),
    resampled: f.texts('positions that were resampled from another grid'),
    fresh: f.list(
      { name: f.text('name of the parameter'), why: f.text('reason') },
      'parameters that were initialised at random',
    ),
    unused: f.texts('parameters of the other model that were not used'),
  }),
  step: f.kind('A step was taken; every log.everySteps of them.', by, {
    step,
    epoch: f.number('passes over the images'),
    loss: f.number('loss before the update'),
    parts: f.perhaps(f.byName(z.number(), 'parts of the loss')),
    metrics: f.perhaps(f.byName(z.number(), 'what else the objective measures')),
    learningRate: f.number('learning rate of the step'),
    schedules: f.byName(z.number(), 'values of all schedules'),
    gradientNorm: f.number('norm of all gradients, before clipping'),
    imagesPerSecond: f.number('images per second'),
    stepSeconds: f.number('seconds that the step took'),
    dataWaitSeconds: f.number('seconds of them that it waited for images'),
    residentBytes: f.count('memory of the process in bytes'),
    time,
  }),
  skip: f.kind('A file cannot be used, and the run continues without it.', by, {
    file: f.text('path below the folder of the images'),
    reason: f.text('why'),
  }),
  checkpoint: f.kind('A checkpoint was saved.', by, { step, path: f.path('folder of the checkpoint') }),
  picture: f.kind('A picture of reconstructions was drawn.', by, { step, path: f.path('the picture') }),
  trouble: f.kind('A step was not finite and changed nothing.', by, {
    step,
    message: f.text('what was not finite'),
    inARow: f.count('such steps in a row'),
    skippedSteps: f.count('such steps in all'),
  }),
  rollback: f.kind('The run went back, and continues in another order of the images.', by, {
    from: f.count('step that it had reached'),
    to: f.count('step that it went back to'),
    rollbacks: f.count('how often it has gone back'),
    message: f.text('why'),
  }),
  probe: f.kind('The encoder was measured on labelled images (--probe).', by, {
    step,
    knn: f.byName(z.number(), 'top-1 of the nearest neighbours, 0 to 1, by pooling'),
    linear: f.byName(z.number(), 'top-1 of a linear probe, 0 to 1, by pooling'),
    chance: f.number('top-1 of always naming the commonest class'),
    effectiveRank: f.byName(z.number(), 'effective rank of the features, by pooling'),
    seconds: f.number('seconds that it took'),
    time,
  }),
  warning: f.kind('Something beside the training failed; the run continues.', by, {
    message: f.text('what, and what helps'),
  }),
  profile: f.kind('Where the time went (--profile).', by, {
    path: f.path('the trace'),
    steps: f.count('steps that were recorded'),
    stepSeconds: f.number('mean seconds of a step'),
    shares: f.byName(z.number(), 'share of the time, 0 to 1, by part of a step'),
  }),
  end: f.kind('The run has ended.', by, {
    reason: f.choice(['completed', 'interrupted'], 'whether it is complete, or can be continued'),
    step,
    totalSteps: f.count('steps of the whole run'),
    loss: f.orNull(f.number('loss of the last step; null where none was finite')),
    firstLoss: f.orNull(f.number('first loss that was logged')),
    seconds: f.orNull(f.number('seconds of this process; null for a run that was complete before')),
    imagesPerSecond: f.orNull(f.number('mean images per second, without checkpoints, pictures and probes')),
    checkpoint: f.orNull(f.path('folder of the last checkpoint')),
    picture: f.orNull(f.path('last picture of reconstructions')),
    lossCurve: f.orNull(f.path('picture of the loss')),
    skipped: f.count('files that could not be used'),
    skippedSteps: f.count('steps that were not finite'),
    rollbacks: f.count('how often the run went back'),
  }),
} as const
