/** Describes the machine and measures what its device multiplies; prints one line of JSON. Argument: device and threads. */
import { describeMachine } from '../src/machine/describe.ts'
import { measurePeak } from '../src/machine/gemm.ts'
import { planMachine } from '../src/machine/plan.ts'
import { setThreads } from '../src/tensor/context.ts'

const { device, threads } = JSON.parse(process.argv[2] ?? '{}') as { device: 'cpu' | 'cuda'; threads: number }
const plan = planMachine({ device, threads, precision: 'auto', workers: 0 })
setThreads(plan.threads)
const gemmGflops = {
  float32: measurePeak('float32', plan.device),
  bfloat16: measurePeak('bfloat16', plan.device),
}
console.log(JSON.stringify({ machine: describeMachine(), gemmGflops }))
