/**
 * Where a model's tokens stand: a table of learned positions, which is kept as it is stored, or of sines and cosines, which are computed
 * here; tables of relative positions; periods of rotary ones.
 */
import type { WaitingArray } from '../checkpoint/arrays.ts'
import type { ConfigInput } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { type Grid, tokenCount } from '../token/grid.ts'
import { sineCosine } from '../token/sine-cosine.ts'
import { floatsOf } from './foreign-parameter.ts'
import { examinePositions } from './foreign-positions.ts'
import type { Facts, ModelInput } from './layouts/facts.ts'
import type { Layout } from './layouts/layout.ts'
import { type LayoutName, layouts } from './layouts.ts'
import { expectFitting } from './misfit.ts'
import type { Shapes } from './shapes.ts'
import type { Named } from './translate-names.ts'

/** A tensor of theirs that is no parameter of ours. */
export interface Dropped {
  readonly name: string
  readonly why: string
  /** Whether its numbers are in the configuration. */
  readonly isKept?: boolean
}

export interface Placed {
  /** That the positions are stored for, or that the file's images have. */
  readonly grid: Grid
  /** [N, D] of learned positions. */
  readonly table: Float32Array | null
  /** [D] of cls; null if missing or zero. */
  readonly cls: Float32Array | null
  /** Largest difference of a table from sines and cosines. */
  readonly difference: number
  /** Heads, where tables or periods show them. */
  readonly heads: number | null
  /** Groups and dates, from the widths of tables. */
  readonly model: ModelInput
  readonly decoder: NonNullable<ConfigInput['decoder']>
  readonly dropped: readonly Dropped[]
  readonly notes: readonly string[]
}

export interface PlaceHints {
  readonly facts: Facts
  /** By the user. */
  readonly given: Grid | null
  /** By the size that is asked for. */
  readonly likely: Grid | null
  readonly missingNames: (ours: string) => readonly string[]
}

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** Checks a computed table [1, rows, width] against our own. */
async function expectNumbers(name: string, table: WaitingArray, rows: number): Promise<number> {
  const { shape, data } = await floatsOf(name, table)
  const width = shape.at(-1)!
  const wanted = Array.from({ length: rows }, (_, n) => [...sineCosine(n, width)]).flat()
  if (data.length !== wanted.length || wanted.some((value, i) => !(Math.abs(value - data[i]!) <= 1e-4)))
    refuse(`${name} [${shape.join(', ')}] is not the sines and cosines of 0 to ${rows - 1}`)
  return width
}

/** What a convolution makes of it: pixels that fill no patch are left out. */
const gridAt = (size: readonly [number, number] | undefined, [h, w]: Shapes['patchSize']): Grid | null =>
  size && size[0] >= h && size[1] >= w ? { h: Math.floor(size[0] / h), w: Math.floor(size[1] / w) } : null

const empty = {
  table: null,
  cls: null,
  difference: 0,
  heads: null,
  decoder: {},
  dropped: [],
  notes: [],
} as const

/** Of a model with rotary positions. */
async function turned({ tables }: Named, shapes: Shapes, { facts }: PlaceHints): Promise<Placed> {
  const name = 'rope_embed.periods'
  const stored = tables.get(name)
  const grid = gridAt(facts.imageSize?.size, shapes.patchSize) ?? { h: 14, w: 14 } // 224 pixels of patches of 16
  const plain = { ...empty, grid, model: { positions: 'none' as const } }
  if (!stored) return plain
  const periods = [...(await floatsOf(name, stored)).data]
  if (periods.length === 0 || !periods.every((period) => period > 0 && Number.isFinite(period)))
    refuse(`${name} [${stored.shape.join(', ')}] are no periods: expected numbers above 0`)
  return {
    ...plain,
    heads: shapes.width / (4 * periods.length),
    model: { positions: 'none', rotaryPeriods: periods },
    dropped: [{ name, why: 'periods of rotary positions: kept as model.rotaryPeriods', isKept: true }],
    notes:
      stored.dtype === 'bfloat16'
        ? [
            'its periods of rotary positions are rounded to bfloat16, and are taken so, as its authors do; transformers and timm compute exact ones',
          ]
        : [],
  }
}

/** Of a model with relative positions: (2h − 1)(2w − 1) + 3 rows. */
function related({ parameters }: Named, { patchSize }: Shapes, { facts, given, likely }: PlaceHints): Placed {
  const table = [...parameters].find(([name]) => name.endsWith('relative_position_bias_table'))?.[1]
  const [rows = 0, heads = null] = table?.shape ?? []
  const offsets = ({ h, w }: Grid) => (2 * h - 1) * (2 * w - 1)
  const said = given ?? gridAt(facts.imageSize?.size, patchSize)
  const side = (Math.sqrt(Math.max(rows - 3, 0)) + 1) / 2
  const square = Number.isInteger(side) && side >= 1 ? { h: side, w: side } : null
  const fits = (grid: Grid | null) => (grid && offsets(grid) + 3 === rows ? grid : null)
  const found = fits(said) ?? fits(likely) ?? (said && facts.imageSize?.isOfTable ? null : square)
  const grid = found && facts.exchangesSides ? { h: found.w, w: found.h } : found
  if (!table) return { ...empty, grid: said ?? { h: 14, w: 14 }, heads, model: { positions: 'none' } }
  if (!grid)
    return refuse(
      said
        ? `its tables of relative positions have ${rows} rows, expected ${offsets(said) + 3} for ${said.h} × ${said.w} places`
        : `its tables of relative positions have ${rows} rows, which no square has: say their grid with --grid ROWSxCOLUMNS`,
    )
  return { ...empty, grid, heads, model: { positions: 'none' } }
}

export async function placesOf(
  named: Named,
  shapes: Shapes,
  layoutName: LayoutName,
  hints: PlaceHints,
): Promise<Placed> {
  const { facts, given, likely, missingNames } = hints
  const { width, patchSize, channels, decoder: ofDecoder } = shapes
  const layout: Layout = layouts[layoutName]
  const table = layout.positions && named.tables.get(layout.positions.name)
  const isRelative = [...named.parameters.keys()].some((name) =>
    name.endsWith('relative_position_bias_table'),
  )
  if (!table && (facts.model.positions === 'none' || isRelative)) return related(named, shapes, hints)
  if (!layout.positions)
    return facts.rotaryBase === undefined ? related(named, shapes, hints) : turned(named, shapes, hints)
  if (!table) {
    expectFitting({ missing: missingNames(layout.positions.name) })
    return refuse(`it has no ${layout.positions.name}`)
  }
  const places = table.shape.at(-2)!
  const isPlain = (grid: Grid) =>
    (facts.model.cls === false ? [0] : [0, 1]).includes(places - tokenCount(grid))
  const fits = (grid: Grid | null) => (grid && isPlain(grid) ? grid : null)
  const ofFile = gridAt(facts.imageSize?.size, patchSize)
  if (facts.imageSize?.isOfTable && !ofFile)
    refuse(
      `its images of ${facts.imageSize.size.join(' × ')} pixels are smaller than its patches of ${patchSize.join(' × ')}`,
    )
  const said = facts.imageSize?.isOfTable ? ofFile : fits(ofFile)
  const grid = given ?? said ?? fits(likely)
  const half = table.dtype === 'float16' || table.dtype === 'bfloat16'
  const noCls = facts.model.cls === false && { cls: false }
  const { name } = layout.positions
  const found = examinePositions(await floatsOf(name, table), { grid, half, ...noCls })
  const { h, w } = found.grid
  const own = table.shape.at(-1)!
  const isWhole = own === width && layoutName !== 'satmae'
  // As the program resamples it for other sizes, where it says which program that is.
  const kind = isWhole && !ofDecoder && facts.keepsTable ? 'learned' : found.kind
  const assumed =
    grid === null && kind === 'learned' && h * w > 1 && !facts.imageSize
      ? [
          `the file does not say the grid of its ${h * w} positions: taken as ${h} × ${w}; --grid gives another`,
        ]
      : []
  if (kind === 'learned' && found.table.every((value) => value === 0))
    assumed.push('its positions are zeros, as those of a model that transformers 5 has just made: kept so')
  const size = `${h} × ${w}`
  const dropped =
    kind === 'learned'
      ? []
      : [
          {
            name,
            why: `sines and cosines, computed here (${size}, largest difference ${found.difference.toExponential(1)})${found.cls ? '; the row of cls added to cls_token' : ''}`,
          },
        ]
  const theirs = layout.decoderPositions === null ? undefined : named.tables.get(layout.decoderPositions)
  let decoderOwn = 0
  if (ofDecoder && !theirs)
    expectFitting({ missing: missingNames(layout.decoderPositions ?? 'decoder_pos_embed') })
  if (theirs) {
    dropped.push({ name: layout.decoderPositions!, why: `sines and cosines, computed here (${size})` })
    if (ofDecoder) {
      decoderOwn = theirs.shape.at(-1)!
      const of = await floatsOf(layout.decoderPositions!, theirs)
      const other = examinePositions(of, { grid: found.grid, half })
      if (other.kind === 'learned' || other.cls)
        refuse(
          `${layout.decoderPositions} differs from sines and cosines by ${other.difference.toFixed(4)}: sherd's decoder has only those`,
        )
    }
  }
  const base = { ...empty, grid: found.grid, cls: found.cls, difference: found.difference, dropped }
  if (isWhole)
    return {
      ...{ ...base, notes: assumed },
      table: kind === 'learned' ? found.table : null,
      model: { positions: kind },
    }
  if (found.kind === 'learned' || found.cls)
    refuse(`its positions differ from sines and cosines by ${found.difference.toFixed(4)}`)
  const left = width - own
  const decoderLeft = (ofDecoder?.width ?? 0) - decoderOwn
  if (layoutName !== 'satmae') {
    return {
      ...base,
      model: { positions: 'fixed', frames: 3, timeFields: ['year', 'month', 'hour'], timeWidth: left / 3 },
      decoder: ofDecoder ? { timeWidth: decoderLeft / 3 } : {},
      notes: [
        ...assumed,
        "positions leave room for dates: taken as SatMAE's three frames with year, month and hour",
      ],
    }
  }
  for (const [each, rows] of [
    ['channel_embed', channels.length],
    ['decoder_channel_embed', channels.length + 1],
  ] as const) {
    const numbers = named.tables.get(each)
    if (!numbers) continue
    await expectNumbers(each, numbers, rows)
    dropped.push({ name: each, why: `sines and cosines, computed here (${size})` })
  }
  const decoder = ofDecoder ? { groupWidth: decoderLeft, compat: 'satmae' as const } : {}
  return { ...base, model: { positions: 'fixed', groupWidth: left }, decoder }
}
