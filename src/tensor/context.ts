/** The state of the engine that is not a tensor: gradients on or off, autocast, seed, threads, devices. */
import { SherdError } from '../errors.ts'
import { isSeed } from '../random/draws.ts'
import { addon, type EngineBuild } from './addon.ts'
import { type DType, dtypes } from './dtype.ts'
import { type Device, guarded, Tensor } from './tensor.ts'

let recording = true

/** Whether operators are recorded for `backward` just now. */
export const isRecording = (): boolean => recording

/** Runs `body` without recording anything for `backward`. */
export function noGrad<T>(body: () => T): T {
  const before = recording
  addon().setGradientMode(false)
  recording = false
  try {
    return body()
  } finally {
    addon().setGradientMode(before)
    recording = before
  }
}

// The autocast that is on, by kind of device. LibTorch has one switch each, so the inner of two must put it back.
const casting = new Map<string, number>()

/**
 * Runs `body` with LibTorch's automatic casting: matrix products take `dtype`, losses stay in float32,
 * each weight is cast once. `float32` runs `body` as it is.
 */
export function autocast<T>({ device, dtype }: { device: Device; dtype: DType }, body: () => T): T {
  if (dtype === 'float32') return body()
  if (dtype !== 'bfloat16' && dtype !== 'float16') {
    throw new SherdError('VALUE', `autocast: expected bfloat16, float16 or float32, got ${dtype}`)
  }
  const code = dtypes[dtype].code
  guarded('autocast', () => addon().setAutocast(device, true, code))
  const [kind = device] = device.split(':')
  const outer = casting.get(kind)
  casting.set(kind, code)
  try {
    return body()
  } finally {
    addon().setAutocast(device, false, code)
    if (outer === undefined) casting.delete(kind)
    else {
      addon().setAutocast(device, true, outer)
      casting.set(kind, outer)
    }
  }
}

/** Runs `body` inside `autocast` in the types that its tensors have. */
export function withoutAutocast<T>(device: Device, body: () => T): T {
  const [kind = device] = device.split(':')
  const code = casting.get(kind)
  if (code === undefined) return body()
  addon().setAutocast(device, false, code)
  casting.delete(kind)
  try {
    return body()
  } finally {
    addon().setAutocast(device, true, code)
    casting.set(kind, code)
  }
}

/** The type that matrix products take on the device just now. */
export function productType(device: Device): DType {
  if (casting.size === 0) return 'float32'
  const code = casting.get(device) ?? casting.get(device.split(':')[0]!)
  return code === undefined ? 'float32' : code === dtypes.bfloat16.code ? 'bfloat16' : 'float16'
}

/** Seeds LibTorch's own generators (initialisation); draws that belong to samples are addressed instead. */
export function manualSeed(seed: number): void {
  if (!isSeed(seed))
    throw new SherdError('VALUE', `manualSeed: expected an integer in [0, 2^53), got ${seed}`)
  addon().seed(seed)
}

/** The number of threads that one operator may use. */
export function setThreads(threads: number): void {
  guarded('setThreads', () => addon().setThreads(threads))
}

/** What the loaded LibTorch is and can do. */
export function engineBuild(): EngineBuild {
  return addon().build()
}

/** Waits until everything that was queued on the device is done. */
export function synchronize(device: Device): void {
  guarded('synchronize', () => addon().synchronize(device))
}

/** Marks a leaf tensor as one that `backward` collects a gradient for. */
export function requireGradient(x: Tensor, on = true): Tensor {
  guarded(`requireGradient(${x})`, () => addon().requireGradient(x.handle, on))
  return x
}

/** Whether a gradient flows through `x`. */
export const requiresGradient = (x: Tensor): boolean =>
  guarded('requiresGradient', () => addon().describe(x.handle)[2])

/** Adds the gradient of the scalar `loss` to that of every leaf it depends on, and frees the graph. */
export function backward(loss: Tensor): void {
  backwardFrom([loss], [null])
}

/** The same from several tensors whose own gradients are known. */
export function backwardFrom(tensors: readonly Tensor[], gradients: readonly (Tensor | null)[]): void {
  guarded(
    () => `backward(${tensors.join(', ')})`,
    () =>
      addon().backward(
        tensors.map(({ handle }) => handle),
        gradients.map((each) => each?.handle ?? null),
      ),
  )
}

/** The same tensor once more: it lives until both are disposed. */
export function share(x: Tensor): Tensor {
  return new Tensor(guarded('share', () => addon().share(x.handle)))
}

/** The gradient that `backward` has collected for `x`, or `null`. It shares memory with the engine's own. */
export function gradient(x: Tensor): Tensor | null {
  const handle = guarded('gradient', () => addon().gradient(x.handle))
  return handle === null ? null : new Tensor(handle)
}

/** Forgets the gradients, so that the next `backward` starts from nothing. */
export function clearGradients(tensors: Iterable<Tensor>): void {
  for (const x of tensors) guarded('clearGradients', () => addon().clearGradient(x.handle))
}
