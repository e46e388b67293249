/** The rows of the table of targets and masks: a cross through one cell, which is MAE with normalised pixels and random masks of 75 %. */

/** A training of its own: what it changes of the preset, and what must have been trained before. */
export interface Training {
  /** Where it is another than that of the rows. */
  readonly preset?: string
  readonly set: readonly string[]
  /** The key that names the other model, and the training that makes it (seed 0). */
  readonly needs?: { readonly key: string; readonly of: string }
  /** A step's time beside that of the reference: for the plan alone. */
  readonly cost: number
}

export interface Row extends Training {
  readonly name: string
  readonly group: 'floor' | 'target' | 'mask'
  readonly seeds: 1 | 3
}

/** The cell that all others are compared with; its run is also the teacher. */
export const reference = 'normalised'
/** Weights that were never trained: nothing to train, only to judge. */
export const floor = 'random-encoder'

const target = (name: string, seeds: 1 | 3, training: Omit<Training, 'cost'> & { cost?: number }): Row => ({
  ...{ name, group: 'target', seeds, cost: 1 },
  ...training,
})
const mask = (name: string, seeds: 1 | 3, ...set: string[]): Row => ({
  ...{ name, group: 'mask', seeds, set, cost: 1 },
})

/** Most telling first. */
export const rows: readonly Row[] = [
  target(reference, 3, { set: [] }),
  { name: floor, group: 'floor', seeds: 1, set: [], cost: 0 },
  target('raw', 3, { set: ['target.normalize=false'] }),
  // As many cells in a patch as MaskFeat has: 2 × 2.
  target('hog', 3, { set: ['target.kind=hog', 'target.cellSize=2'] }),
  target('features', 1, {
    set: ['target.kind=features'],
    needs: { key: 'target.model', of: reference },
    cost: 1.6,
  }),
  target('codes-pixels', 1, {
    set: ['target.kind=codes'],
    needs: { key: 'target.tokenizer', of: 'vq-pixels' },
    cost: 1.3,
  }),
  target('codes-vqkd', 1, {
    set: ['target.kind=codes'],
    needs: { key: 'target.tokenizer', of: 'vqkd' },
    cost: 1.6,
  }),
  mask('block-40', 3, 'mask.kind=block', 'mask.ratio=0.4'),
  mask('block-75', 1, 'mask.kind=block'),
  mask('random-60', 1, 'mask.ratio=0.6'),
  mask('grid', 1, 'mask.kind=grid'),
  // 16 cells of an image, as near to SimMIM's 36 as the sides allow.
  mask('coarse', 1, 'mask.kind=coarse', 'mask.cell=8'),
  // AttMask, where the teacher looks most.
  {
    ...mask('attention', 1, 'mask.kind=attention'),
    needs: { key: 'mask.model', of: reference },
    cost: 1.6,
  },
]

/** Models that are trained for rows and are no rows themselves. */
export const tokenizers: Readonly<Record<string, Training>> = {
  'vq-pixels': { preset: 'vq-pixels-tiny-cifar10', set: [], cost: 1 },
  vqkd: {
    preset: 'vqkd-tiny-cifar10',
    set: [],
    needs: { key: 'target.model', of: reference },
    cost: 3,
  },
}

export const trainingOf = (name: string): Training =>
  rows.find((row) => row.name === name) ?? tokenizers[name]!

export interface Cell {
  readonly row: Row
  readonly seed: number
}

/** Every row once, then the further seeds. */
export const cellsOf = (chosen: readonly Row[]): Cell[] =>
  [0, 1, 2].flatMap((seed) => chosen.filter(({ seeds }) => seed < seeds).map((row) => ({ row, seed })))

/** The trainings that cells come to, those that they need included, each once, in order. */
export function trainingsOf(cells: readonly Cell[]): { readonly name: string; readonly seed: number }[] {
  const found = new Map<string, { name: string; seed: number }>()
  const add = (name: string, seed: number): void => {
    const { needs } = trainingOf(name)
    if (needs) add(needs.of, 0)
    if (name !== floor) found.set(`${name} ${seed}`, { name, seed })
  }
  for (const { row, seed } of cells) add(row.name, seed)
  return [...found.values()]
}

/** Images that each training sees at most: what the table is meant to have. */
export const WANTED = 48_000
/** Images that each encoder is judged with. */
export const JUDGED = { train: 10_000, test: 2_000 }

// Reading features beside a pretraining step, which computes a quarter of the encoder and a small decoder; measured on ViT-Tiny/4.
const FEATURE_SPEED = 1.8
/** Seconds of fits and starts of an evaluation, measured on two cores. */
const FITS = 30

/** Images that each training may see, so that all end in time. */
export function imagesFor(cells: readonly Cell[], minutes: number, imagesPerSecond: number): number {
  const judged = JUDGED.train + JUDGED.test
  const judging = cells.length * (judged / (FEATURE_SPEED * imagesPerSecond) + FITS)
  const cost = trainingsOf(cells).reduce((total, { name }) => total + trainingOf(name).cost, 0)
  return Math.min(WANTED, (Math.max(0, 60 * minutes - judging) * imagesPerSecond) / Math.max(1, cost))
}
