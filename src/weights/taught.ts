/** What a run says to the frozen models that teach it: its images are normalised by its own statistics, and they expect theirs. */
import type { Config } from '../config/schema.ts'
import type { MachinePlan } from '../machine/plan.ts'
import type { ChannelStatistics } from '../prepare/normalize.ts'
import type { View } from '../prepare/view.ts'
import { add, mul, toDevice } from '../tensor/ops.ts'
import { type Device, tensor } from '../tensor/tensor.ts'

/** The run that it teaches. */
export interface Taught {
  readonly config: Config
  readonly statistics: ChannelStatistics
  readonly machine: Pick<MachinePlan, 'device' | 'precision' | 'threads'>
}

/** From pixels that one model's statistics have normalised to those of another's. */
export function renormaliser(
  from: ChannelStatistics,
  to: ChannelStatistics,
  device: Device,
): (view: View) => View {
  const isSame = [...from.mean, ...from.std].join() === [...to.mean, ...to.std].join()
  if (isSame) return (view) => view
  const ofChannels = (value: (c: number) => number) => {
    const values = from.mean.map((_, c) => value(c))
    return toDevice(tensor(values, [1, 1, values.length, 1, 1]), device)
  }
  return (view) => {
    const scaled = mul(
      view.pixels,
      ofChannels((c) => from.std[c]! / to.std[c]!),
    )
    return {
      ...view,
      pixels: add(
        scaled,
        ofChannels((c) => (from.mean[c]! - to.mean[c]!) / to.std[c]!),
      ),
    }
  }
}
