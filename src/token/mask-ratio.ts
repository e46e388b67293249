/** Share of the tokens that are hidden: the same in every step, or a function of the step, never of the sample, so that a batch is rectangular. */
export const ratioChanges = ['linear', 'uniform'] as const

export interface MaskRatio {
  readonly ratio: number
  /** Where it changes, the other end; null: it does not. */
  readonly ratioTo?: number | null
  /** Evenly over the run, or drawn for each step. */
  readonly ratioSchedule?: (typeof ratioChanges)[number]
}

/** What costs and pictures are of: the mean over the run. */
export const meanRatio = ({ ratio, ratioTo = null }: MaskRatio): number =>
  ratioTo === null ? ratio : (ratio + ratioTo) / 2
