/**
 * PyTorch at its best: its ways of running (eager or compiled, plain or fused attention, either type) are tried one after the other,
 * and the two fastest take turns with sherd in every round. Two, because one round on a machine with other work may mislead.
 */
export interface Timed {
  readonly seconds: readonly number[]
}

/** How fast a way of running the peer is, or why it could not run. */
export type PeerWay =
  | { readonly variant: string; readonly imagesPerSecond: number }
  | { readonly variant: string; readonly failed: string }

/** A program that is ready. */
export interface Contestant<Answer extends Timed> {
  /** One round. */
  turn(): Promise<Answer>
  end(): Promise<void>
}

export interface Trial<C extends Contestant<Timed>> {
  readonly variant: string
  readonly contestant: C
  readonly first: Awaited<ReturnType<C['turn']>>
}

export interface Finalists<C extends Contestant<Timed>> {
  /** Still running, the fastest first. */
  readonly finalists: readonly Trial<C>[]
  /** Tried and ended. */
  readonly others: readonly Trial<C>[]
  readonly failed: readonly { readonly variant: string; readonly failed: string }[]
}

const MOST_FINALISTS = 2 // all at once would not fit into memory
const LONGEST_REASON = 500

/** Tries each variant for one round. Other programs can only slow a step down, so the fastest of a round's steps counts. */
export async function tryVariants<V extends { readonly name: string }, C extends Contestant<Timed>>(
  variants: readonly V[],
  enter: (variant: V) => Promise<C>,
): Promise<Finalists<C>> {
  const finalists: Trial<C>[] = []
  const others: Trial<C>[] = []
  const failed: { variant: string; failed: string }[] = []
  for (const variant of variants) {
    let contestant: C | null = null
    try {
      contestant = await enter(variant)
      const first = (await contestant.turn()) as Awaited<ReturnType<C['turn']>>
      finalists.push({ variant: variant.name, contestant, first })
    } catch (error) {
      await contestant?.end().catch(() => {})
      failed.push({ variant: variant.name, failed: String(error).slice(-LONGEST_REASON) })
    }
    finalists.sort((a, b) => Math.min(...a.first.seconds) - Math.min(...b.first.seconds))
    for (const each of finalists.splice(MOST_FINALISTS)) {
      await each.contestant.end()
      others.push(each)
    }
  }
  return { finalists, others, failed }
}

/** Rounds in turns, forwards and backwards; the answers of each contestant. */
export async function takeTurns<Answer extends Timed>(
  contestants: readonly Pick<Contestant<Answer>, 'turn'>[],
  rounds: number,
): Promise<Answer[][]> {
  const answers: Answer[][] = contestants.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...contestants.entries()]
    for (const [i, contestant] of round % 2 === 0 ? order : order.reverse())
      answers[i]!.push(await contestant.turn())
  }
  return answers
}
