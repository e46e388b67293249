/** Named spans of a step, for profiling; by default plain function calls. */

/** Runs `body` and returns its result. A span of a promise lasts until it settles. */
export type Span = <T>(name: string, body: () => T) => T

export const untimed: Span = (_name, body) => body()
