// The runs whose tensor bytes are recorded. Each goes through the package's public door (`dist/src/index.js` of a build) and touches
// nothing below it, so the same file takes builds whose insides and configuration keys differ.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const steps = 32
const middle = steps / 2

/** What differs between the two presets. */
const presets = {
  'mae-tiny-cifar10': { short: 'mae', batchSize: 2, data: 'photographs', masked: 'masked-photographs' },
  'satmae-tiny-sentinel2': { short: 'satmae', batchSize: 2, data: 'scenes', masked: 'masked-scenes' },
}

const fold = (...groups) =>
  Object.fromEntries(
    Object.keys(Object.assign({}, ...groups)).map((key) => [
      key,
      Object.assign({}, ...groups.map((group) => group[key])),
    ]),
  )

/** The preset as it is, but for batch, length and what `over` says. */
function configOf({ resolveConfig, presetOf }, preset, over) {
  const { batchSize } = presets[preset]
  return resolveConfig(
    fold(
      presetOf(preset).config,
      {
        train: { batchSize, steps, seed: 7, threads: 2, device: 'cpu' },
        checkpoint: { everySteps: steps },
        log: { pictureEverySteps: 0 },
      },
      over,
    ),
  )
}

/** Runs until the end; `onStep` may abort. Returns the path of the last checkpoint. */
async function pretrained({ sherd, folder }, { name, preset, over = {}, onStep = () => {}, ...options }) {
  const out = join(folder, name)
  const stop = new AbortController()
  let checkpoint = null
  for await (const event of sherd.pretrain({
    ...{ config: configOf(sherd, preset, over), preset, data: join(folder, presets[preset].data), out },
    ...{ signal: stop.signal, ...options },
  })) {
    if (event.kind === 'step') onStep(event, stop)
    if (event.kind === 'end') checkpoint = event.checkpoint
  }
  return checkpoint
}

/** The files of a checkpoint that hold tensors, and the losses in the run's metrics. */
async function filesOf(checkpoint, run) {
  const files = (await readdir(checkpoint)).filter((name) => name.endsWith('.safetensors')).sort()
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trim().split('\n').map(JSON.parse)
  return {
    files: files.map((name) => join(checkpoint, name)),
    losses: lines.map(({ loss }) => loss),
    norms: lines.map(({ gradientNorm }) => gradientNorm),
    rates: lines.map(({ learningRate }) => learningRate),
  }
}

const plain = (preset, over) => async (context, name) =>
  filesOf(await pretrained(context, { name, preset, over }), join(context.folder, name))

const resumed = (preset, over) => async (context, name) => {
  const onStep = ({ step }, stop) => step === middle && stop.abort()
  await pretrained(context, { name, preset, over, onStep })
  return filesOf(await pretrained(context, { name, preset, over, resume: true }), join(context.folder, name))
}

/** The addresses of the samples that `plan` is called for, wherever they stand among what it is given. */
const addressesIn = (given) =>
  given
    .flatMap((each) => [each, each?.samples, each?.addresses])
    .find((each) => each?.indices && each?.epochs)

/**
 * An objective that divides the losses of some batches by zero, counted in the order in which they come; a second look at a batch fails
 * again. It knows of an objective no more than that `plan` is given the addresses of samples, and that `loss` is given what it made and
 * returns a tensor, or `parts` of `{ mean }`.
 */
function failing(objective, { ops }, isLost) {
  const verdicts = new Map()
  const lost = new WeakSet()
  const spoil = (loss) => {
    if (!loss.parts) return ops.div(loss, 0)
    const parts = Object.entries(loss.parts).map(([key, part]) => [
      key,
      { ...part, mean: ops.div(part.mean, 0) },
    ])
    return { ...loss, parts: Object.fromEntries(parts) }
  }
  return {
    ...objective,
    plan(...given) {
      const plan = objective.plan(...given)
      const { epochs, indices } = addressesIn(given)
      const batch = `${epochs} ${indices}`
      if (!verdicts.has(batch)) verdicts.set(batch, isLost(verdicts.size + 1))
      if (verdicts.get(batch)) lost.add(plan)
      return plan
    },
    loss(...given) {
      const loss = objective.loss(...given)
      return given.some((each) => typeof each === 'object' && lost.has(each)) ? spoil(loss) : loss
    },
  }
}

/** Two steps behind the middle of the first order are not finite: back to step 10, and on in another order. */
const rolledBack = (preset, over) => async (context, name) => {
  const { sherd, objectiveOf } = context
  const checkpoint = await pretrained(context, {
    ...{
      name,
      preset,
      over: fold(over, {
        train: { maxSkippedSteps: 1, maxRollbacks: 1 },
        checkpoint: { everySteps: 10, keep: 4 },
      }),
    },
    objectiveOf: (...given) =>
      failing(objectiveOf(...given), sherd, (batch) => batch === middle + 1 || batch === middle + 2),
  })
  const notes = (await readFile(join(context.folder, name, 'journal.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map(JSON.parse)
  if (notes.filter(({ event }) => event === 'rolled back').length !== 1)
    throw new Error(
      `${name}: expected one rollback, the journal has ${notes.map(({ event }) => event).join(', ')}`,
    )
  return filesOf(checkpoint, join(context.folder, name))
}

const finetuned =
  (preset, { from, precision, settings }) =>
  async ({ sherd, folder }, name) => {
    const encoder = await sherd.openEncoder({ model: join(folder, from), device: 'cpu' })
    const losses = []
    const norms = []
    const rates = []
    const save = join(folder, `${name}.safetensors`)
    const data = join(folder, presets[preset].data)
    await sherd.finetune({
      ...{ encoder, precision, data: { train: data }, seeds: [3], fromScratch: false, save },
      settings: { ...sherd.finetuneDefaults, ...settings },
      signal: new AbortController().signal,
      onStep: ({ loss, gradientNorm, learningRate }) => {
        losses.push(loss)
        norms.push(gradientNorm)
        rates.push(learningRate)
      },
    })
    return { files: [save], losses, norms, rates }
  }

const segmented =
  (preset, { from, heads }) =>
  async ({ sherd, folder }, name) => {
    const encoder = await sherd.openEncoder({ model: join(folder, from), device: 'cpu' })
    const files = []
    const losses = []
    for (const head of heads) {
      const save = join(folder, `${name}-${head}.safetensors`)
      await sherd.segment({
        ...{ encoder, data: { train: join(folder, presets[preset].masked) }, heads: [head], seeds: [3] },
        ...{
          settings: { epochs: 6, batchSize: 8, learningRate: 1e-3, weightDecay: 1e-4 },
          ignored: 255,
          save,
        },
        onEpoch: ({ loss }) => losses.push(loss),
      })
      files.push(save)
    }
    return { files, losses, norms: [], rates: [] }
  }

/** The runs of one preset, in order: later ones start from earlier ones. Not the full product, but each axis at least once, and both kernels in both precisions. */
function runsOf(preset) {
  const train = (...over) => ({ train: Object.assign({}, ...over) })
  const [fp32, bf16] = [{ precision: 'fp32' }, { precision: 'bf16' }]
  const [composed, recompute] = [{ kernels: 'composed' }, { recompute: true }]
  const { batchSize, short: prefix } = presets[preset]
  const twice = { batchSize: batchSize / 2, accumulate: 2 }
  // Samples without gaps: there two halves of a batch weigh the same.
  const whole = preset.startsWith('satmae') ? { data: { minValid: 1 } } : {}
  const short = { epochs: 2, batchSize: 4, dropPath: 0.1, ema: 0.9 }
  return {
    'fp32-fused': ['fp32', plain(preset, train(fp32))],
    'fp32-composed': ['fp32', plain(preset, train(fp32, composed))],
    'fp32-fused-recompute': ['fp32', plain(preset, train(fp32, recompute))],
    'fp32-fused-accumulate': ['fp32', plain(preset, { ...whole, ...train(fp32, twice) })],
    'fp32-fused-rollback': ['fp32', rolledBack(preset, train(fp32))],
    'fp32-finetune': [
      'fp32',
      finetuned(preset, { from: `${prefix}-fp32-fused`, precision: 'fp32', settings: short }),
    ],
    'fp32-segment': ['fp32', segmented(preset, { from: `${prefix}-fp32-fused`, heads: ['linear', 'conv'] })],
    'bf16-fused': ['bf16', plain(preset, train(bf16))],
    'bf16-composed': ['bf16', plain(preset, train(bf16, composed))],
    'bf16-composed-recompute': ['bf16', plain(preset, train(bf16, composed, recompute))],
    'bf16-fused-accumulate': ['bf16', plain(preset, { ...whole, ...train(bf16, twice) })],
    'bf16-fused-resume': ['bf16', resumed(preset, train(bf16))],
    'bf16-finetune': [
      'bf16',
      finetuned(preset, {
        from: `${prefix}-bf16-fused`,
        precision: 'bf16',
        settings: { ...short, accumulate: 2, batchSize: 2, blocks: 6, ema: null },
      }),
    ],
  }
}

/** Every run: name, precision, and what makes it: `take(context, name)` gives files of tensors and numbers of each step. */
export const runs = Object.entries(presets).flatMap(([preset, { short }]) =>
  Object.entries(runsOf(preset)).map(([name, [precision, take]]) => ({
    name: `${short}-${name}`,
    precision,
    take,
  })),
)
