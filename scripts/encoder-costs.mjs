// What embedding costs by published encoders of several sizes, with random weights: `node scripts/encoder-costs.mjs [NAME…]`, after a build.
// They take turns, and processor time counts, since other programs can only lengthen the time by the clock. Prints a table for docs/published.md.
import { join } from 'node:path'
import { startRounds } from '../dist/bench/rounds.js'
import { packageRoot } from '../dist/src/package-root.js'

const given = process.argv.slice(2)
const names = given.length > 0 ? given : ['dinov2-small', 'dino-base-16', 'dinov2-base', 'mae-large']
const [BATCH, ROUNDS, THREADS] = [4, 4, 1] // one thread waits for no other
const program = join(packageRoot(), 'dist/bench/sherd-embed.js')

/** Of each name: processor seconds an image, the fewest of the rounds; MB at most. */
async function measure(precision) {
  const order = (published) => JSON.stringify({ published, precision, batch: BATCH, threads: THREADS })
  const programs = []
  for (const name of names) programs.push(await startRounds([process.execPath, program, order(name)]))
  const answers = names.map(() => [])
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, each] of programs.entries()) answers[i].push(await each.ask({ batches: 1 }))
  for (const each of programs) await each.end()
  return answers.map((of) => ({
    cpu: Math.min(...of.map(({ cpuSeconds }) => cpuSeconds)) / BATCH,
    megabytes: Math.max(...of.map(({ peakKiB }) => peakKiB)) / 1024,
  }))
}

console.log('| encoder | precision | processor seconds an image | times those of the first | MB |')
console.log('|---|---|---|---|---|')
let first = 0
for (const precision of ['fp32', 'bf16'])
  for (const [i, { cpu, megabytes }] of (await measure(precision)).entries()) {
    first = i === 0 ? cpu : first
    const numbers = [cpu.toFixed(3), (cpu / first).toFixed(2), megabytes.toFixed(0)]
    console.log(`| ${names[i]} | ${precision} | ${numbers.join(' | ')} |`)
  }
