/** Frozen models of a run: `run.json` has their hashes, and a resumed run must use the same. */
import type { RunFacts } from '../checkpoint/run-folder.ts'
import { SherdError } from '../errors.ts'
import type { Objective } from '../objective/objective.ts'

/** Adds the hashes of the models, which it opens, to the facts. Throws `RUN` if they changed. */
export function factsOfFrozen(
  facts: RunFacts,
  { frozen = {} }: Pick<Objective<never, never>, 'frozen'>,
  isResumed: boolean,
): RunFacts {
  const names = Object.keys(frozen)
  if (names.length === 0) return facts
  const hashes = Object.fromEntries(names.map((name) => [name, frozen[name]!().hash]))
  const before = (key: string) => facts.frozen?.[key] ?? facts.frozen?.[key.split('.')[0]!] // as it was once called
  const other = isResumed && names.find((name) => before(name) !== hashes[name])
  if (other)
    throw new SherdError(
      'RUN',
      `${other} has other weights, or prepares images otherwise (SHA-256 ${hashes[other]}) than those that the run was begun with (${before(other) ?? 'none'}): name their file by --set ${other}=PATH, or start a new run.`,
    )
  return { ...facts, frozen: hashes }
}
