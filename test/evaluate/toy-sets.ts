/** Sets whose answer is known: clusters far apart, and the same with labels that mean nothing. */
import type { Labelled } from '../../src/evaluate/labelled-features.ts'
import { draws } from '../../src/random/draws.ts'
import { wave } from '../tolerance.ts'

const WIDTH = 12

/** `count` vectors around `classes` centres; every set has the same centres. */
export function clusters(count: number, classes: number, seed: number): Labelled {
  const centre = (label: number) => wave(WIDTH, 1000 + label).map((x) => 4 * x)
  const labels = Int32Array.from({ length: count }, (_, i) => i % classes)
  const noise = wave(count * WIDTH, seed)
  const vectors = Float32Array.from(
    noise,
    (x, i) => 0.3 * x + centre(labels[Math.floor(i / WIDTH)]!)[i % WIDTH]!,
  )
  return { count, width: WIDTH, vectors, labels }
}

/** The same vectors with labels dealt out at random. */
export function shuffled(set: Labelled, classes: number): Labelled {
  const next = draws({ seed: 1, stream: 'shuffle', epoch: 0, index: 0 })
  return { ...set, labels: set.labels.map(() => next.below(classes)) }
}
