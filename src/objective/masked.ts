/**
 * What objectives share that hide tokens of pictures and predict a target for them: plan, heads, loss and predictions. They differ in how
 * features of tokens are read from what is left (`TokenReader`): MAE encodes the rest and decodes, SimMIM and MaskFeat put a mask token in
 * the place of what is hidden.
 */
import { SherdError } from '../errors.ts'
import { type Adaptation, adaptBackbone } from '../model/adapt.ts'
import { openBackbone } from '../model/backbone.ts'
import { type BackboneShape, plainBackbone } from '../model/backbone-shape.ts'
import type { EncoderDimensions } from '../model/dimensions.ts'
import { type InitialRecipe, startingBy } from '../model/initial-values.ts'
import type { Weights } from '../model/parameters.ts'
import type { CutView } from '../model/stem/patches.ts'
import type { GroupRow } from '../optim/groups.ts'
import type { Schedule } from '../optim/schedule.ts'
import type { View } from '../prepare/view.ts'
import { predictPixels } from '../target/pixel-target.ts'
import type { Shown } from '../target/showing.ts'
import { type Asked, type Target, type TargetMaker, type Teacher, teacherPrefix } from '../target/target.ts'
import { noGrad } from '../tensor/context.ts'
import { gather, mul, reshape, select, sum, unsqueeze } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import { type Device, item, type Tensor } from '../tensor/tensor.ts'
import { layoutTokens, placeCount } from '../token/layout.ts'
import { type MaskPlan, planMasks } from '../token/mask.ts'
import { keptTokens, type MaskDesign, randomMask } from '../token/mask-design.ts'
import { joinRoutes, type Route, routeByGroup } from '../token/spectral-groups.ts'
import { partOf } from './decoded-part.ts'
import type { ImageObjective } from './image-objective.ts'
import {
  type ChoosingAt,
  chooseByAddress,
  chooseByFunction,
  type MaskChooserMaker,
  type MaskFunction,
  planOfNoise,
} from './mask-chooser.ts'
import { openHeads } from './masked-heads.ts'
import { momentumSchedule } from './momentum.ts'
import type { Average, ImageBatch, Losses } from './objective.ts'
import type { OpenReader } from './token-reader.ts'

export interface MaskedOptions extends Partial<Omit<BackboneShape, 'dimensions'>> {
  readonly dimensions: EncoderDimensions
  /** How the encoder learns; default: all of it. */
  readonly adapt?: Adaptation
  /** Share of tokens that are hidden, in (0, 1). */
  readonly maskRatio: number
  /** Of a ratio that changes from step to step; `maskRatio` is then that of plans outside of a run. */
  readonly maskSchedule?: Schedule | null
  /** How groups and frames share masks, by default each has its own; or a function, and `maskRatio` is then not read. */
  readonly mask?: Omit<MaskDesign, 'ratio'> | MaskFunction
  /** K, if not that of the mask design. */
  readonly kept?: number | null
  /** What chooses hidden tokens; default: the mask design, by addresses. */
  readonly chooser?: MaskChooserMaker
  /** Share of all tokens that are predicted (CrossMAE): the other hidden ones are thrown. Default: all hidden ones. */
  readonly decodeRatio?: number | null
  /** Default: normalised pixels. */
  readonly target?: TargetMaker
  /**
   * Whether samples may lack data, so that micro-batches are weighted by their hidden tokens with data. Default: true with groups of bands,
   * frames or dates.
   */
  readonly gaps?: boolean
  /** How parameters start; default: as in MAE. */
  readonly initial?: InitialRecipe
  /** `Objective.groups`: exceptions from decay. */
  readonly groupRows?: readonly GroupRow[]
  readonly device: Device
}

export interface Prediction {
  /** [B, P + K, D] of what the encoder saw: kept tokens, or all of them with mask tokens. */
  readonly latent: Tensor
  /** [B, T · L, …] as `Target.whole` has it: of pixels P·P·C, frame by frame in image order; zeros for a band that no group has. */
  readonly prediction: Tensor
  /** The same by the second head, where there is one. */
  readonly second?: Tensor
}

export interface MaskedObjective extends ImageObjective<MaskPlan> {
  readonly target: Pick<Target, 'part' | 'widths' | 'shows' | 'chance' | 'factor'>
  /** Tokens without data are never kept. */
  plan(at: ChoosingAt, batch?: ImageBatch, weights?: Weights): MaskPlan
  /** The plan of given noise [B, N]. */
  planFromNoise(noise: Tensor, view?: View): MaskPlan
  loss(weights: Weights, batch: ImageBatch, plan: MaskPlan): Losses
  /** Predictions of all tokens, for pictures and verification. */
  predict(weights: Weights, view: View, plan: MaskPlan): Prediction
  /** The error of every token [B, N] in the target's space; not for targets of pixels. */
  errors(weights: Weights, view: View, plan: MaskPlan): Tensor
}

/** What pictures show of predictions at every place. */
function shownOf(target: Target, said: readonly Tensor[], asked: Asked, weights: Weights): Shown[] {
  const { shows } = target
  if (shows.kind === 'pixels') return [{ ...shows, said: target.whole(said) }]
  const errors: Shown = { kind: 'errors', errors: target.errors!(said, asked, weights) }
  return shows.kind === 'errors' ? [errors] : [{ ...shows, ...target.drawn!(said, asked, weights) }, errors]
}

/** Whether it hides tokens and predicts a target for them, from one encoder with heads. */
export const isMasked = (objective: ImageObjective): objective is MaskedObjective =>
  'planFromNoise' in objective

/** Throws `USAGE` for an objective without masks and predictions. `what` needs them, such as "sherd reconstruct"; `name`: of the objective. */
export function expectMasked(
  objective: ImageObjective,
  { name, what }: { readonly name: string; readonly what: string },
): MaskedObjective {
  if (isMasked(objective)) return objective
  throw new SherdError(
    'USAGE',
    `${what} needs a model that hides patches and predicts them, and this one has learned by objective ${name}: "sherd look" draws its features, "sherd evaluate" measures them.`,
  )
}

const followingTeacher = ({ of }: Teacher): Average => ({
  ...{ prefix: teacherPrefix, from: '', momentum: 'momentum', when: 'after-step' },
  ...(of && { of }),
})

/** Throws `SHAPE` or `VALUE` if dimensions, groups or ratio do not fit. */
export function maskedObjective(options: MaskedOptions, openReader: OpenReader): MaskedObjective {
  const {
    maskRatio,
    mask,
    maskSchedule = null,
    chooser: chooserOf = typeof mask === 'function'
      ? chooseByFunction(mask)
      : chooseByAddress({ kept: options.kept, ratio: maskSchedule }),
    target: targetOf = predictPixels(),
    adapt = { kind: 'none' },
    decodeRatio = null,
    initial,
    groupRows,
    device,
    ...given
  } = options
  const shape: BackboneShape = { ...plainBackbone(options.dimensions), ...given }
  const backbone = adaptBackbone(openBackbone(shape, device), adapt)
  const { layout, groups } = backbone
  const design: MaskDesign = {
    ...randomMask(maskRatio),
    ...(typeof mask !== 'function' && mask),
    ratio: maskRatio,
  }
  const N = layoutTokens(layout)
  const keptByDesign = () => options.kept ?? keptTokens(layout, design)
  const predictedOf =
    decodeRatio === null
      ? (plan: MaskPlan) => plan
      : partOf({
          ...{ tokens: N, hidden: N - keptByDesign(), maskRatio, decodeRatio, device },
          hasRandomOrder: options.chooser === undefined && typeof mask !== 'function' && !design.shape,
        })
  const reader = openReader({ shape, backbone, device })
  const encoderRows = reader.leavesFinalNorm
    ? backbone.rows.map((row) => (row.name.startsWith('norm.') ? { ...row, role: 'fixed' as const } : row))
    : backbone.rows
  const target = targetOf({ shape, groups, backbone, device })
  const chooser = chooserOf({
    ...{ shape, backbone, design, device },
    ...{ seen: reader.seen, shared: target.taught, hasErrors: target.each !== undefined },
  })

  const [height, width] = shape.dimensions.imageSize
  const heads = openHeads(reader, target, { shape, groups })
  const { factor = 1, teacher } = target
  const frozen = { ...target.frozen, ...chooser.frozen }
  const schedules = {
    ...chooser.schedules,
    ...(teacher && { momentum: momentumSchedule(teacher.momentum) }),
  }
  const averages: readonly Average[] = [
    ...(teacher ? [followingTeacher(teacher)] : []),
    ...(chooser.averages ?? []),
  ]
  const cutOf = (view: View): CutView => backbone.cut(target.atModelSize?.(view) ?? view)
  const asked = (view: View, cut: CutView, plan: MaskPlan): Asked => {
    let routes: readonly Route[] | undefined
    const places = placeCount(layout)
    return {
      ...{ view, cut, plan },
      routes: () =>
        (routes ??= routeByGroup(plan.hidden, { groups: groups.length, places, real: plan.real?.hidden })),
    }
  }
  /** What each head says at every place. */
  const everywhere = (cut: CutView, plan: MaskPlan, weights: Weights) => {
    const read = reader.read(cut, plan, weights)
    return { encoded: read.encoded, said: heads.predictAll(read, weights) }
  }
  /** How many hidden tokens hold data. */
  const withData = (view: View, { hidden, real }: MaskPlan): number => {
    const { present } = cutOf(view)
    if (!present) return real ? item(sum(real.hidden)) : hidden.shape[0]! * hidden.shape[1]!
    const there = gather(present, 1, hidden)
    return item(sum(real ? mul(there, real.hidden) : there))
  }
  /** [B, M] of the errors of each group's hidden tokens. */
  const errorsOf = (each: readonly Tensor[], { routes, plan: { hidden } }: Asked): Tensor => {
    const [B, M] = hidden.shape as readonly [number, number]
    if (each.length === 1) return reshape(each[0]!, [B, M])
    const columns = each.map((errors) => unsqueeze(errors, 1))
    return select(joinRoutes(columns, routes(), [B, M]), 2, 0)
  }
  const mayLackData = options.gaps ?? (shape.frames > 1 || shape.groups !== null || shape.time !== null)
  const mayDiffer = mayLackData || chooser.isUneven === true

  const rows = [
    ...encoderRows,
    ...reader.rows,
    ...heads.rows,
    ...(target.rows ?? []),
    ...(chooser.rows ?? []),
  ]

  const objective: MaskedObjective = {
    rows: initial ? startingBy(rows, initial) : rows,
    ...(groupRows && { groups: groupRows }),
    views: {
      image: {
        ...{ kind: 'crop', count: 1, size: [height * factor, width * factor] },
        ...(chooser.masks !== undefined && { masks: { dir: chooser.masks, grid: layout.grid } }),
      },
    },
    tokens: N,
    metrics: [...heads.metrics, ...(chooser.metrics ?? [])],
    encoder: { prefix: '' },
    ...(Object.keys(frozen).length > 0 && { frozen }),
    ...(averages.length > 0 && { averages }),
    ...(Object.keys(schedules).length > 0 && { schedules }),
    ...(chooser.isOfWeights && { isPlanOfWeights: true }),
    target,
    plan: (at, batch, weights) =>
      scope(() =>
        predictedOf(chooser.plan(at, batch ? cutOf(batch.image) : null, weights ?? null, batch?.image), at),
      ),
    ...(target.first && {
      first: (_, batches, { collective }) =>
        target.first!(
          batches.map(({ batch: { image }, plan }) => () => ({ view: image, cut: cutOf(image), plan })),
          collective,
        ),
    }),
    ...(mayDiffer && { counts: ({ image }, plan) => heads.counts(withData(image, plan)) }),
    planFromNoise: (noise, view) =>
      scope(() => {
        const cut = view ? cutOf(view) : null
        return predictedOf(planOfNoise(noise, { kept: keptByDesign(), cut, device }))
      }),
    loss: (weights, { image }, plan) =>
      scope(() => {
        const cut = cutOf(image)
        const read = reader.read(cut, plan, weights)
        const about = asked(image, cut, plan)
        const said = heads.predict(read, about, weights)
        const values = noGrad(() => target.of(about, weights))
        const errors = () => noGrad(() => errorsOf(target.each!(said[0]!, values), about))
        const { parts, metrics } = heads.loss(said, values, weights)
        return { parts: { ...parts, ...chooser.parts?.({ read, cut, plan, weights, errors }) }, metrics }
      }),
    predict: (weights, view, plan) =>
      scope(() => {
        const { encoded, said } = everywhere(cutOf(view), plan, weights)
        const [prediction, again] = said.map(target.whole)
        return { latent: encoded.sequence, prediction: prediction!, ...(again && { second: again }) }
      }),
    errors: (weights, view, plan) =>
      scope(() => {
        const cut = cutOf(view)
        const [said] = everywhere(cut, plan, weights).said
        return target.errors!(said!, asked(view, cut, plan), weights)
      }),
    show: (weights, { image }, at) =>
      scope(() => {
        const plan = objective.plan(at, { image }, weights)
        const cut = cutOf(image)
        const [said] = everywhere(cut, plan, weights).said
        return { ...planMasks(plan), shown: shownOf(target, said!, asked(image, cut, plan), weights) }
      }),
  }
  return objective
}
