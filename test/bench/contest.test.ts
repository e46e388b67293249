import { describe, expect, it } from 'vitest'
import { takeTurns, tryVariants } from '../../bench/contest.ts'
import { startRounds } from '../../bench/rounds.ts'

/** Variants by the seconds of their steps; below 0 they fail. */
function arena(speeds: Readonly<Record<string, number>>) {
  const running = new Set<string>()
  const calls: string[] = []
  let most = 0
  return {
    ...{ running, calls, most: () => most },
    variants: Object.keys(speeds).map((name) => ({ name })),
    async enter({ name }: { name: string }) {
      if (speeds[name] === -1) throw new Error(`no ${name}`)
      running.add(name)
      most = Math.max(most, running.size)
      return {
        async turn() {
          if (speeds[name] === -2) throw new Error(`${name} broke`)
          calls.push(name)
          return { seconds: [9, speeds[name]!] } // the first step was disturbed
        },
        async end() {
          running.delete(name)
        },
      }
    },
  }
}

describe('the ways of running the peer', () => {
  it('are tried one after the other, of which the two fastest stay', async () => {
    const { variants, enter, running, most } = arena({ a: 3, b: 1, c: -1, d: 2, e: -2, f: 4 })
    const { finalists, others, failed } = await tryVariants(variants, enter)
    expect(finalists.map(({ variant }) => variant)).toEqual(['b', 'd'])
    expect(others.map(({ variant }) => variant)).toEqual(['a', 'f'])
    expect(failed).toEqual([
      { variant: 'c', failed: 'Error: no c' },
      { variant: 'e', failed: 'Error: e broke' },
    ])
    expect([...running]).toEqual(['b', 'd'])
    expect(most()).toBe(3)
  })

  it('are left out where they are not ready in time', async () => {
    const never = [process.execPath, '-e', 'setInterval(() => {}, 1000)']
    await expect(startRounds(never, 0.1)).rejects.toThrow('not ready within 0.1 s')
    const ready = [process.execPath, '-e', 'console.log("{}"); process.stdin.resume()']
    const running = await startRounds(ready, 3600)
    await running.end()
  })

  it('take turns forwards and backwards', async () => {
    const { variants, enter, calls } = arena({ a: 1, b: 2 })
    const contestants = await Promise.all(variants.map(enter))
    const answers = await takeTurns(contestants, 3)
    expect(calls.join('')).toBe('abbaab')
    expect(answers.map((each) => each.map(({ seconds }) => seconds[1]))).toEqual([
      [1, 1, 1],
      [2, 2, 2],
    ])
  })
})
