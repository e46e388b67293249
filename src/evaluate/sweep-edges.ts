/** Says where the best value of a sweep is its first or last one: the sweep has not seen on which side it falls again. */
import { type Fit, type Outcome, sweptSettings } from './protocols.ts'

export interface SweptRow extends Pick<Fit, 'group' | 'pooling'>, Pick<Outcome, 'setting' | 'swept'> {
  /** On the held-out images; null if not measured. */
  readonly heldOut: number | null
}

/** Values to try beside the best: its neighbour in the sweep, itself, and what lies beyond. */
function wider(
  best: number,
  neighbour: number,
  { factors, least }: (typeof sweptSettings)[SweptRow['swept']['name']],
) {
  const isLargest = best > neighbour
  const beyond = factors.map((factor) => {
    const value = isLargest ? best * factor : best / factor
    return least > 0 ? Math.max(least, Math.round(value)) : Number(value.toPrecision(1))
  })
  return [...new Set([neighbour, best, ...beyond])].sort((a, b) => a - b)
}

/**
 * A warning for each of the chosen rows whose value is at an edge of its sweep, if no value inside is as good on the held-out images.
 * `images`: how many there are to learn from, which bounds the neighbours.
 */
export function edgeWarnings(rows: readonly SweptRow[], chosen: readonly number[], images: number): string[] {
  return chosen.flatMap((place) => {
    const best = rows[place]!
    const own = rows.filter(
      ({ group, pooling, heldOut }) => group === best.group && pooling === best.pooling && heldOut !== null,
    )
    const values = own.map(({ swept }) => swept.value).sort((a, b) => a - b)
    const { name, value } = best.swept
    const at = values.indexOf(value)
    if (best.heldOut === null || values.length < 2 || (at > 0 && at < values.length - 1)) return []
    if (own.some((row) => row !== best && row.heldOut! >= best.heldOut!)) return [] // as good elsewhere: no sign of a slope
    const neighbour = values[at === 0 ? 1 : at - 1]!
    const tried = wider(value, neighbour, sweptSettings[name]).filter(
      (each) => name !== 'k' || each <= images,
    )
    if (tried.length < 3) return [] // nothing lies beyond
    const which = `the ${at === 0 ? 'smallest' : 'largest'} ${name} that was tried (${value})`
    return [
      `${best.group && `${best.group}: `}the best is ${which}, so a ${at === 0 ? 'smaller' : 'larger'} one may be better: ` +
        `try ${sweptSettings[name].option} ${tried.join(',')}`,
    ]
  })
}
