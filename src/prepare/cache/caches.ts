/** The values of `data.cache`. */
export const caches = ['none', 'memory', 'device'] as const
export type CacheKind = (typeof caches)[number]
