import { expect, it } from 'vitest'
import { works } from '../../bench/works.ts'

it('every work has a name of its own, and its peer runs on the same device in a type that is fair', () => {
  expect(new Set(works.map(({ name }) => name)).size).toBe(works.length)
  for (const { precision, peers, device } of works) {
    expect(peers.length).toBeGreaterThan(0)
    if (precision === 'fp32') expect(new Set(peers.map((peer) => peer.precision))).toEqual(new Set(['fp32']))
    expect(new Set(peers.map(({ name }) => name)).size).toBe(peers.length)
    expect(new Set(peers.map(({ compile }) => compile))).toEqual(new Set([false, true]))
    // Plainly first: what else there is may be left out for want of time.
    if (device === 'cuda') expect(peers.slice(0, 2).map(({ compile }) => compile)).toEqual([false, true])
    expect(peers.every(({ compile, mode }) => compile || mode === undefined)).toBe(true)
  }
})
