/** Descriptions of logged numbers. */

/** Bounds of a metric whose violation is reported. */
export interface Alarm {
  readonly below?: number
  readonly above?: number
  /** Consecutive steps out of bounds before the alarm, and back within them before another one. */
  readonly forSteps: number
  /** A sentence: what it means and what helps. */
  readonly text: string
}

/** Describes a logged number. */
export interface MetricRow {
  /**
   * In an objective: a part of its loss (kind `loss`) or a metric. In a run (`metrics.schema.json`): the path in a line of `metrics.jsonl`,
   * such as `parts.pixels`.
   */
  readonly name: string
  readonly kind: 'loss' | 'schedule' | 'health' | 'throughput' | 'probe'
  /** '' for dimensionless numbers. */
  readonly unit: string
  /** The value without learning: a number, or the name of a number in the same line. */
  readonly chance?: number | string | null
  /** Such as `predicting the mean`. */
  readonly chanceOf?: string
  readonly alarm?: Alarm
}
