/** Clipping of outliers in rasters: none, at two standard deviations, or at the 2nd and 98th percentile. */
export const clippings = ['none', 'deviations', 'percentiles'] as const
export type Clipping = (typeof clippings)[number]
