/**
 * Initialises a run from the weights of another model: matching parameters are loaded, embeddings of other bands inflated, learned positions
 * of another grid resampled, the rest initialised randomly.
 */
import { resolve } from 'node:path'
import { backboneOf, bandGroupsOf, bandsOf, compatOf, dimensionsOf } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { groupsOf } from '../model/backbone-shape.ts'
import { gridOfModel } from '../model/dimensions.ts'
import { type BandKernel, bandKernels, inflate } from '../model/inflate.ts'
import { expectFinite, type ParameterRow } from '../model/parameters.ts'
import { canonicalBand, channelNames } from '../source/raster/band-names.ts'
import { noGrad } from '../tensor/context.ts'
import { add, mul } from '../tensor/ops.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { resamplePositions } from '../token/resample-positions.ts'
import { type Donor, expectDonor, ownDonor } from './donor.ts'

/** The outcome for all parameters of both models. */
export interface Inheritance {
  readonly path: string
  readonly loaded: readonly string[]
  /** Embeddings inflated to other bands. */
  readonly inflated: readonly string[]
  /** Learned positions resampled from another grid. */
  readonly resampled: readonly string[]
  /** Randomly initialised parameters, with the reason. */
  readonly fresh: readonly { readonly name: string; readonly why: string }[]
  /** Unused parameters of the other model. */
  readonly unused: readonly string[]
}

/** Of a norm of tokens, where the donor has none. */
const NEW_NORM =
  'it norms the mean of its tokens (fc_norm) and not each of them, so the last norm begins new, and at step 0 features are not yet those of its authors'

/** The kernels of the donor's embeddings, band by band. */
function kernelsOf(config: Config | null, stored: ReadonlyMap<string, Tensor>): readonly BandKernel[] {
  const plain = stored.get('patch_embed.proj.weight')
  if (plain) return bandKernels(plain, channelNames(config && bandsOf(config), plain.shape[1]!))
  if (!config) return []
  const bands = channelNames(bandsOf(config), 0)
  return groupsOf(backboneOf(config)).flatMap(({ embed, bands: numbers }) => {
    const weight = stored.get(`${embed}.proj.weight`)
    return weight
      ? bandKernels(
          weight,
          numbers.map((number) => bands[number]!),
        )
      : []
  })
}

function meanBias(stored: ReadonlyMap<string, Tensor>): Tensor | null {
  const biases = [...stored]
    .filter(([name]) => /^patch_embed\b.*\.proj\.bias$/.test(name))
    .map(([, bias]) => bias)
  if (biases.length === 0) return null
  return mul(
    biases.reduce((a, b) => add(a, b)),
    1 / biases.length,
  )
}

const sameShape = (a: readonly number[], b: readonly number[]) => a.join() === b.join()

/** Bands and groups as canonical text. */
const spoken = (config: Config) =>
  JSON.stringify([
    bandsOf(config)?.map(canonicalBand),
    bandGroupsOf(config)?.map((group) => group.map(canonicalBand)),
  ])

/**
 * Whether embeddings and heads have the same bands in the same order. Weights that do not state their bands are assumed to match if both are
 * photographs, or both have numbered groups, as in the released SatMAE files.
 */
const hasSameBands = (a: Config | null, b: Config, stored: ReadonlyMap<string, Tensor>): boolean =>
  a === null
    ? b.data.kind === 'images' || (bandGroupsOf(b) !== null && stored.has('patch_embed.0.proj.weight'))
    : spoken(a) === spoken(b)

const isEmbed = (name: string) => name.startsWith('patch_embed.')
/** Parameters after the decoder that depend on bands. */
const isHead = (name: string) => /^(decoder_pred|upscale\.embed|upscale\.blocks\.\d+\.pred)\b/.test(name)

/** The grid that learned positions are stored for. */
const storedGrid = (config: Config) => backboneOf(config).learnedGrid ?? gridOfModel(dimensionsOf(config))

interface Inherited {
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly inheritance: Inheritance
}

/**
 * The parameters of `rows` from a donor, and the outcome for all. The tensors belong to the current scope. Throws `RUN` or `CHECKPOINT` if
 * there is no donor or none of its blocks fits. `given`: a donor, or the path of one of sherd's. `prefix`: of the encoder among the rows; where there is one, only the encoder is
 * given, and of a donor that has one, only its encoder.
 */
export function inherit(
  given: string | Donor,
  rows: readonly ParameterRow[],
  config: Config,
  prefix = '',
): Inherited {
  if (prefix === '') return inheritAll(given, rows, config)
  const own = rows.filter(({ name }) => name.startsWith(prefix))
  const bare = own.map((row) => ({ ...row, name: row.name.slice(prefix.length) }))
  const { tensors, inheritance } = inheritAll(given, bare, config)
  const { loaded, inflated, resampled, fresh, ...rest } = inheritance
  const whole = (names: readonly string[]) => names.map((name) => prefix + name)
  const beside = rows.filter((row) => !own.includes(row))
  return {
    tensors: new Map([...tensors].map(([name, value]) => [prefix + name, value])),
    inheritance: {
      ...{ ...rest, loaded: whole(loaded), inflated: whole(inflated), resampled: whole(resampled) },
      fresh: [
        ...fresh.map(({ name, why }) => ({ name: prefix + name, why })),
        ...beside.map(({ name }) => ({ name, why: 'it is not of the encoder' })),
      ],
    },
  }
}

function inheritAll(given: string | Donor, rows: readonly ParameterRow[], config: Config): Inherited {
  if (typeof given === 'string') expectDonor(resolve(given))
  const donor = typeof given === 'string' ? ownDonor(given) : given
  return noGrad(() =>
    scope(() => {
      const stored = donor.tensors()
      const sameBands = hasSameBands(donor.config, config, stored)
      const sameHeads = sameBands && (donor.config === null || compatOf(donor.config) === compatOf(config))
      const known = kernelsOf(donor.config, stored)
      const bias = meanBias(stored)
      const names = channelNames(bandsOf(config), config.model.channels)
      const groups = groupsOf(backboneOf(config))
      /** An embedding for other bands than the donor's, or null. */
      const inflated = ({ name }: ParameterRow): Tensor | null => {
        const group = groups.find(({ embed }) => name.startsWith(`${embed}.proj.`))
        const { width: D, patchSize: P } = backboneOf(config).dimensions
        if (!group || known.length === 0 || !sameShape(known[0]!.kernel.shape, [D, 1, ...P])) return null
        return name.endsWith('.weight')
          ? inflate(
              known,
              group.bands.map((number) => names[number]!),
            )
          : bias
      }
      const [from, to] = [donor.config, config].map((each) => each && storedGrid(each))
      const isMoved = from && to && (from.h !== to.h || from.w !== to.w)
      /** Learned positions on this grid, or null. */
      const resampled = ({ name, shape }: ParameterRow): Tensor | null => {
        const table = stored.get(name)
        if (name !== 'pos_embed' || !isMoved || !table) return null
        if (!sameShape(table.shape, [from.h * from.w, shape[1]!])) return null
        return resamplePositions(table, { from, to, by: donor.config!.model.resampling })
      }
      const normsMean = stored.has('fc_norm.weight') && !stored.has('norm.weight')
      const tensors = new Map<string, Tensor>()
      const report = {
        loaded: [] as string[],
        inflated: [] as string[],
        resampled: [] as string[],
        fresh: [] as Inheritance['fresh'][number][],
      }
      for (const row of rows) {
        const { name, shape } = row
        const own = stored.get(name)
        const placed = resampled(row)
        if (placed) {
          tensors.set(name, placed)
          report.resampled.push(name)
          continue
        }
        const speaks = isEmbed(name) ? sameBands : !isHead(name) || sameHeads
        const isSame = own !== undefined && sameShape(own.shape, shape) && speaks
        const made = isSame ? own : inflated(row)
        if (made && sameShape(made.shape, shape)) {
          tensors.set(name, made)
          report[isSame ? 'loaded' : 'inflated'].push(name)
          continue
        }
        const why = own
          ? `it is [${own.shape.join(', ')}] there and [${shape.join(', ')}] here${isEmbed(name) || isHead(name) ? ', or of other bands' : ''}`
          : normsMean && name.startsWith('norm.')
            ? NEW_NORM
            : 'it is not there'
        report.fresh.push({ name, why })
      }
      expectFinite(tensors)
      if (!report.loaded.some((name) => name.startsWith('blocks.')))
        throw nothingFits(donor.path, stored, rows)
      expectFrozenGiven(donor.path, config, { rows, fresh: report.fresh })
      const unused = [...stored.keys()].filter(
        (name) =>
          !report.loaded.includes(name) &&
          !report.resampled.includes(name) &&
          !(report.inflated.length > 0 && name.startsWith('patch_embed')),
      )
      return { tensors, inheritance: { path: donor.path, ...report, unused } }
    }),
  )
}

/** Throws `CHECKPOINT` where weights would stay as they were drawn. */
function expectFrozenGiven(
  path: string,
  { adapt }: Config,
  { rows, fresh }: { readonly rows: readonly ParameterRow[]; readonly fresh: Inheritance['fresh'] },
): void {
  if (adapt.kind === 'none') return
  const lacking = fresh.filter(({ name }) => rows.find((row) => row.name === name)?.role === 'fixed')
  if (lacking.length > 0)
    throw new SherdError(
      'CHECKPOINT',
      `--init: adapt.kind=${adapt.kind} leaves the encoder as ${path} has it, and that gives no ${lacking[0]!.name} (${lacking[0]!.why})${lacking.length > 1 ? ` and ${lacking.length - 1} others` : ''}: choose a preset of the same encoder, or adapt.kind=none.`,
    )
}

function nothingFits(
  path: string,
  stored: ReadonlyMap<string, Tensor>,
  rows: readonly ParameterRow[],
): SherdError {
  const found = stored.get('blocks.0.attn.qkv.weight')
  const wanted = rows.find(({ name }) => name === 'blocks.0.attn.qkv.weight')
  const shown = (shape: readonly number[] | undefined) => (shape ? `[${shape.join(', ')}]` : 'absent')
  return new SherdError(
    'CHECKPOINT',
    `--init: no block of ${path} fits this model: its blocks.0.attn.qkv.weight is ${shown(found?.shape)}, expected ${shown(wanted?.shape)}. Choose a preset of the same width and depth.`,
  )
}
