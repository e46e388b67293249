/** How values of a raster that are far from the others are clipped: not, at two standard deviations, or at the 2nd and 98th percentile. */
export const clippings = ['none', 'deviations', 'percentiles'] as const
export type Clipping = (typeof clippings)[number]
