/** The configuration's keys of masks, in the group `mask`. */
import { z } from 'zod'
import { sharings } from './mask-design.ts'
import { ratioChanges } from './mask-ratio.ts'
import { attentionRuleNames } from './mask-rules.ts'

const share = () => z.number().gt(0).lt(1)
const portion = () => z.number().min(0).max(1)
const ratioKey = (usual: number) =>
  share().default(usual).describe('share of patches that are hidden; ⌊N · (1 − ratio)⌋ are kept')
const ratioWithoutFile = (usual: number) =>
  share()
    .default(usual)
    .describe('share of patches that are hidden of images without a mask, as of sherd reconstruct')

/** Masks that follow attention. */
const attentionKeys = {
  rule: z
    .enum(attentionRuleNames)
    .default('attmask-high')
    .describe(
      'what is hidden: the most attended patches (attmask-high), the least (attmask-low), the most but for a few (attmask-hint), what is not drawn by attention (milan), what is drawn, and as much thrown (amt)',
    ),
  model: z
    .string({ error: 'expected the path of a run, a checkpoint or a .safetensors file of weights' })
    .min(1)
    .meta({ allowed: 'path' })
    .nullable()
    .default(null)
    .describe(
      'the frozen encoder whose attention counts: a run, a checkpoint, or a file of weights; null: the encoder itself, at its weights',
    ),
  maskingProb: portion()
    .default(1)
    .describe(
      'attmask rules: share of images that are masked; of the others nothing is hidden (AttMask: 0.5)',
    ),
  showMax: share()
    .default(0.1)
    .describe('attmask-hint: share of patches, the most attended, of which some are shown'),
  throwRatio: share().default(0.4).describe('amt: share of patches that are neither seen nor predicted'),
  fromEpoch: z
    .number()
    .min(0)
    .max(1e6)
    .default(0)
    .describe('epoch from which masks follow attention, from 0; before it they are random (AMT: 41)'),
  ratioBefore: share()
    .default(0.75)
    .describe('share of patches that random masks hide before mask.fromEpoch'),
}

/** Masks of hard patches. */
const lossKeys = {
  hardFrom: portion()
    .default(0)
    .describe('share of the hidden patches that are those of the greatest predicted loss, at the first step'),
  hardTo: portion().default(0.5).describe('the same at the end of the run'),
  predictorWidth: z
    .int()
    .min(4)
    .max(16384)
    .nullable()
    .default(null)
    .describe("width of the predictor of losses; null: the decoder's, or the model's"),
  predictorDepth: z.int().min(1).max(256).default(1).describe('its blocks (HPM: as many as the decoder has)'),
  predictorHeads: z
    .int()
    .min(1)
    .max(256)
    .nullable()
    .default(null)
    .describe("its attention heads; null: the decoder's, or the model's"),
  momentum: portion()
    .default(0.999)
    .describe('momentum of the average that chooses masks, at the first step'),
  momentumTo: portion().default(0.9999).describe('the same from mask.momentumEpochs on'),
  momentumEpochs: z.number().positive().max(1e6).default(100).describe('epochs over which it changes'),
}

/** Masks that come with the images. */
const fileKeys = {
  dir: z
    .string({ error: 'expected the path of a folder with a PNG mask for each image' })
    .min(1)
    .meta({ allowed: 'path' })
    .describe(
      'folder of masks, PNG files with the paths of the images in their folder; what is not 0 is masked, and a patch that is masked by more than a half is hidden',
    ),
}

/** Of a ratio that changes. */
const changeKeys = {
  ratioTo: share()
    .nullable()
    .default(null)
    .describe('another ratio: what mask.ratio changes to, or the other end of its range; null: it stays'),
  ratioSchedule: z
    .enum(ratioChanges)
    .default('linear')
    .describe(
      'how a ratio with mask.ratioTo changes: evenly from the first step to the last (linear), or drawn for each step (uniform)',
    ),
}

const blockKeys = {
  minBlock: z
    .number()
    .int()
    .min(1)
    .max(65536)
    .nullable()
    .default(null)
    .describe('patches of the smallest block; null: a fifth of those hidden'),
}
const coarseKeys = {
  cell: z
    .number()
    .int()
    .min(1)
    .max(16384)
    .nullable()
    .default(null)
    .describe('side in pixels of a cell, a multiple of the sides of a patch; null: two patches'),
}
const multiBlockKeys = {
  blocks: z
    .int()
    .min(1)
    .max(64)
    .default(4)
    .describe('rectangles whose union is hidden first, each of 15 to 20 % of the patches'),
}

function keysByKind(usual: number) {
  const fixed = { ratio: ratioKey(usual) }
  const ratio = { ...fixed, ...changeKeys }
  return {
    random: ratio,
    block: { ...ratio, ...blockKeys },
    grid: ratio,
    coarse: { ...ratio, ...coarseKeys },
    'multi-block': { ...ratio, ...multiBlockKeys },
    centre: ratio,
    periphery: ratio,
    attention: { ...fixed, ...attentionKeys },
    loss: { ...fixed, ...lossKeys },
    files: { ...fileKeys, ratio: ratioWithoutFile(usual) },
  }
}

const byRatio = new Map<number, ReturnType<typeof keysByKind>>()

/** By the kind of mask; `usual`: the published ratio. A key that objectives share is one object, and listed once. */
export function maskKindKeys(usual = 0.75) {
  const keys = byRatio.get(usual) ?? keysByKind(usual)
  byRatio.set(usual, keys)
  return keys
}

export const maskKeys = maskKindKeys()
export type MaskName = keyof typeof maskKeys
export const maskNames = Object.keys(maskKeys) as [MaskName, ...MaskName[]]

/** Kinds of which addresses alone decide; the others follow the pixels, and weights, or are files. */
export const isOfAddress = (kind: MaskName): boolean =>
  kind !== 'attention' && kind !== 'loss' && kind !== 'files'

/** Of samples with groups of bands, and with several dates. */
export const rasterMaskKeys = {
  groups: z
    .enum(sharings)
    .default('independent')
    .describe('whether all groups of bands hide the same places (consistent)'),
  frames: z.enum(sharings).default('independent').describe('whether all dates do'),
}

/** Of rasters, by the kind of mask. */
export const rasterMaskKindKeys = {
  random: {
    perFrame: z
      .boolean()
      .default(false)
      .describe('hide exactly the ratio of every date, and not of all dates together'),
  },
}

const readWith = (kind: MaskName): object => ({
  ...maskKeys[kind],
  ...('random' === kind && rasterMaskKindKeys.random),
})

/** Whether a key of the group is read with other kinds, and not with this one. */
export const isOfOtherMask = (key: string, kind: MaskName): boolean =>
  !Object.hasOwn(readWith(kind), key) && maskNames.some((other) => Object.hasOwn(readWith(other), key))
