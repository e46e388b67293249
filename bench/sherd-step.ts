/** sherd's training step as a program of rounds; the counterpart of `peers/step.py`. Argument: a configuration as JSON. */

import { openStepBench } from '../src/bench/step-bench.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import type { ConfigInput } from '../src/config/schema.ts'
import { answerRounds } from './rounds.ts'

const bench = await openStepBench(resolveConfig(JSON.parse(process.argv[2] ?? '{}') as ConfigInput))
bench.run(bench.cold)
const ready = { ready: true, ...bench.machine, whyNotRecorded: bench.whyNotRecorded() }
await answerRounds<{ steps: number }>(ready, ({ steps }) => bench.run(steps))
bench.close()
