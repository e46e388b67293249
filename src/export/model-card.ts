/** The README.md (model card) of an exported model. */

import { fittingOf } from '../config/assemble.ts'
import { hiddenInWords, targetInWords } from '../config/in-words.ts'
import { bandsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { objectives } from '../config/tables.ts'
import { plain } from '../evaluate/markdown.ts'
import { cardLicence, restriction } from '../hub/licences.ts'
import { isHubName } from '../hub/name.ts'
import { sherdVersion } from '../package-root.ts'
import type { ResizeMode } from '../prepare/fit.ts'
import { type ExportedModel, encoderParameterCount } from './exported-model.ts'

export interface CardOptions {
  readonly title: string
  /** For the hub, such as `library_name: transformers`. */
  readonly tags: Readonly<Record<string, string>>
  /** Example in Python. */
  readonly usage: string
  /** Example in JavaScript. */
  readonly webUsage?: string | undefined
  readonly notes: readonly string[]
  /** Of `cardScores`. */
  readonly scores?: readonly string[] | undefined
  /** As the hub names it, such as `apache-2.0`. */
  readonly license?: string | undefined
}

const list = (values: readonly number[]) => values.map((value) => Number(value.toPrecision(6))).join(', ')

function trainingOf({ config, facts, step, protocol, hub }: ExportedModel): string[] {
  if (protocol !== undefined)
    return [
      `Its head was learned by \`sherd evaluate ${protocol}\`${protocol === 'linear' ? ' on a frozen encoder' : ''}. What came before is not in the file of weights.`,
    ]
  if (!facts)
    return [
      hub === undefined
        ? 'How it was trained is not known to sherd: the weights were imported, or copied without their run.'
        : `Its weights are those of \`${hub}\`: how they were trained, and what they may be used for, is said there.`,
    ]
  const { files, classes, fingerprint } = facts.data
  const { objective, train, optim } = config
  const [hidden, target] = [hiddenInWords(config, ' of the patches'), targetInWords(config)]
  const how = [hidden, target && `${target} as the target`].filter((part) => part !== null).join(', ')
  const named = classes.length > 0 ? `, in ${classes.length} classes that pretraining does not look at` : ''
  return [
    `${objectives[objective].inWords} with [sherd](https://www.npmjs.com/package/sherd)${how && `: ${how}`}.`,
    '',
    `- ${step ?? 'an unknown number of'} optimizer steps of ${train.batchSize * train.accumulate} samples, base learning rate ${optim.baseLearningRate}, weight decay ${optim.weightDecay}, seed ${train.seed}`,
    `- ${files} images${named}; fingerprint of the list of files: \`${fingerprint}\``,
    ...(facts.init
      ? [`- it began with the weights of ${isHubName(facts.init) ? `\`${facts.init}\`` : 'another model'}`]
      : []),
    `- LibTorch ${facts.engine.libtorch}, ${facts.engine.device}, ${facts.engine.precision}`,
  ]
}

const resizing: Readonly<Record<ResizeMode, string>> = {
  box: 'takes the largest centred part of an image with this aspect ratio and resizes it',
  shortest: 'resizes an image by its shorter side and cuts out the centre',
  longest: 'resizes an image by its longer side and fills it up',
  squash: 'resizes an image whatever its shape',
  patches: 'resizes an image so that it keeps its shape',
}

function resizedText({ data }: Config): string {
  if (data.kind !== 'images') return ''
  return `sherd ${resizing[data.resize]}, ${data.interpolation === 'bilinear' ? 'bilinearly' : 'bicubically'}.`
}

function inputOf({ config, statistics, dimensions: d }: ExportedModel): string[] {
  const bands = bandsOf(config)
  const budget = fittingOf(config)?.budget
  const size = budget
    ? `Images of any shape, up to ${budget.most} patches`
    : `${d.imageSize.join(' × ')} pixels`
  if (bands)
    return [
      `${size} of ${d.channels} bands in the order ${bands.map(plain).join(', ')}, in the units of the files: (x − mean) / deviation.`,
      '',
      `- mean ${list(statistics.mean)}`,
      `- deviation ${list(statistics.std)}`,
      ...(statistics.low ? ['- values are clipped first: see `low` and `high` in `config.json`'] : []),
    ]
  return [
    `${size}, ${d.channels === 1 ? 'grey' : `${d.channels} channels`}, values from 0 to 1: (x − mean) / deviation, mean ${list(statistics.mean)}, deviation ${list(statistics.std)}. ${resizedText(config)}`,
  ]
}

export function modelCard(
  model: ExportedModel,
  { title, tags, usage, webUsage, notes, scores = [], license }: CardOptions,
): string {
  const { dimensions: d, facts } = model
  // A run that began with a model of the hub is bound as that is.
  const hub = model.hub ?? (facts?.init !== undefined && isHubName(facts.init) ? facts.init : undefined)
  const given = license !== undefined ? { license } : hub !== undefined ? cardLicence(hub) : undefined
  const restricted = hub === undefined ? undefined : restriction(hub)
  const own = {
    ...tags,
    ...given,
    ...(hub !== undefined && { base_model: hub.replace(/^hf:|@.*/g, '') }),
  }
  return `${[
    ...['---', ...Object.entries(own).map(([key, value]) => `${key}: ${value}`)],
    ...['tags:', '- sherd', '- masked-image-modeling', '---', '', `# ${title}`, ''],
    `A vision transformer of ${d.depth} ${d.depth === 1 ? 'block' : 'blocks'}, width ${d.width}, ${d.heads} heads, patches of ${d.patchSize.join(' × ')} pixels: ${(encoderParameterCount(model) / 1e6).toFixed(1)} million parameters in the encoder. Positions are ${model.config.model.positions === 'learned' ? 'learned' : 'fixed sines and cosines'}; layer norms add ${d.layerNormEpsilon}.`,
    ...['', '## Use', '', '```python', usage.trim(), '```', ''],
    ...(webUsage ? ['```js', webUsage.trim(), '```', ''] : []),
    ...['## Input', '', ...inputOf(model), ''],
    ...['## Training', '', ...trainingOf(model), ''],
    ...(scores.length > 0 ? ['## Results', '', ...scores, ''] : []),
    ...['## Limits', ''],
    ...[
      ...(scores.length > 0
        ? []
        : ['No score is given here, because none was measured when this folder was written.']),
      ...notes,
      ...(restricted === undefined ? [] : [`${restricted[0]!.toUpperCase()}${restricted.slice(1)}.`]),
      ...(given === undefined ? ['The licence is not stated here: add it before publishing the model.'] : []),
    ].map((line) => `- ${line}`),
    ...['', `Written by sherd ${sherdVersion()}.`],
  ].join('\n')}\n`
}
