// Everything that only a machine with a GPU can show, in stages, for a machine that one has for minutes (docs/machine.md):
//
//   node scripts/gpu.mjs pack --out DIR [--data FILE.tar.gz]     what must travel there, made here
//   node scripts/gpu.mjs [--stages build,verify,…] [--minutes N] [--out DIR]
//
// Plain JavaScript that needs no network and no npm. Results are written as they come: a script that is stopped leaves what it had.
// --device cpu --quick is a rehearsal without a GPU.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openLease, root } from './gpu/lease.mjs'
import { pack } from './gpu/pack.mjs'
import { stageNames, stages } from './gpu/stages.mjs'

const [command] = process.argv.slice(2)
if (command === 'pack') {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      out: { type: 'string', default: join(root, '.gpu') },
      data: { type: 'string' },
      python: { type: 'string' },
      limit: { type: 'string', default: '64M' },
      tests: { type: 'boolean', default: true },
    },
    allowNegative: true,
  })
  process.exitCode = pack(values)
} else {
  const { values } = parseArgs({
    options: {
      stages: { type: 'string', default: 'build,doctor,verify,tests,bench' },
      minutes: { type: 'string' },
      device: { type: 'string', default: 'cuda' },
      python: { type: 'string' },
      out: { type: 'string', default: join(root, 'bench/results') },
      work: { type: 'string' },
      quick: { type: 'boolean', default: false },
      // of bench
      rows: { type: 'string' },
      ways: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      batch: { type: 'string', default: '512' },
      // of pretrain, probe and tune
      data: { type: 'string' },
      model: { type: 'string' },
      epochs: { type: 'string', default: '400' },
      'pretrain-batch': { type: 'string', default: '4096' },
      'base-rate': { type: 'string' },
      'part-megabytes': { type: 'string', default: '15' },
    },
  })
  const asked = values.stages
    .split(',')
    .flatMap((name) => (name === 'train' ? ['pretrain', 'probe', 'tune'] : [name]))
  const unknown = asked.find((name) => !stageNames.includes(name))
  if (unknown !== undefined) {
    console.error(
      `gpu: no stage "${unknown}"; there are ${stageNames.join(', ')}, and train, which is the last three`,
    )
    process.exit(2)
  }
  const lease = openLease(values, asked)
  for (const stage of stages.filter(({ name }) => asked.includes(name))) {
    await lease.run(stage)
    if (lease.failed.includes('build')) break // nothing else can work
  }
  process.exitCode = lease.close()
}
