/** State of LibTorch: gradient mode, autocast, seed, threads, devices. */
import { SherdError } from '../errors.ts'
import { isSeed } from '../random/draws.ts'
import { addon, type EngineBuild } from './addon.ts'
import { type DType, dtypes } from './dtype.ts'
import { type Device, guarded, Tensor } from './tensor.ts'

let recording = true

/** Whether gradients are enabled. */
export const isRecording = (): boolean => recording

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

// The active autocast by device type. LibTorch has one switch per type, so nested calls must restore it.
const casting = new Map<string, number>()

/**
 * Runs `body` with LibTorch's autocast: matrix products take `dtype`, losses stay in float32, each weight is cast once. No effect for
 * float32.
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

/** Disables `autocast` in `body`. */
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

let keeping = false

/**
 * `autocast` for models that do not learn: where rounding grows, products stay in float32 (`inFloat32`), which is the embedding of
 * patches, queries and keys, their scores, and what is behind the encoder. On a GPU, whose attention takes bfloat16 alone, it is `autocast`.
 */
export function autocastFrozen<T>(how: { device: Device; dtype: DType }, body: () => T): T {
  const before = keeping
  keeping = how.device === 'cpu'
  try {
    return autocast(how, body)
  } finally {
    keeping = before
  }
}

/** Whether `autocastFrozen` is at work. */
export const keepsFloat32 = (): boolean => keeping && productType('cpu') !== 'float32'

/** `body` in float32 within `autocastFrozen`, else as it is. */
export const inFloat32 = <T>(body: () => T): T => (keepsFloat32() ? withoutAutocast('cpu', body) : body())

/** The current type of matrix products on the device. */
export function productType(device: Device): DType {
  if (casting.size === 0) return 'float32'
  const code = casting.get(device) ?? casting.get(device.split(':')[0]!)
  return code === undefined ? 'float32' : code === dtypes.bfloat16.code ? 'bfloat16' : 'float16'
}

/** Seeds LibTorch's generators (for initialisation); draws for samples are addressed instead. */
export function manualSeed(seed: number): void {
  if (!isSeed(seed))
    throw new SherdError('VALUE', `manualSeed: expected an integer in [0, 2^53), got ${seed}`)
  addon().seed(seed)
}

/** Threads per operator. */
export function setThreads(threads: number): void {
  guarded('setThreads', () => addon().setThreads(threads))
}

export function engineBuild(): EngineBuild {
  return addon().build()
}

/** Waits for all queued work on the device. */
export function synchronize(device: Device): void {
  guarded('synchronize', () => addon().synchronize(device))
}

/** `requires_grad_()` of a leaf. */
export function requireGradient(x: Tensor, on = true): Tensor {
  guarded(`requireGradient(${x})`, () => addon().requireGradient(x.handle, on))
  return x
}

export const requiresGradient = (x: Tensor): boolean =>
  guarded('requiresGradient', () => addon().describe(x.handle)[2])

/** Accumulates the gradients of a scalar in the leaves, and frees the graph. */
export function backward(loss: Tensor): void {
  backwardFrom([loss], [null])
}

/** Backward from several tensors with given gradients. */
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

/** Another handle of the tensor, which lives until both are disposed. */
export function share(x: Tensor): Tensor {
  return new Tensor(guarded('share', () => addon().share(x.handle)))
}

/** `x.grad` or null, sharing memory. */
export function gradient(x: Tensor): Tensor | null {
  const handle = guarded('gradient', () => addon().gradient(x.handle))
  return handle === null ? null : new Tensor(handle)
}

export function clearGradients(tensors: Iterable<Tensor>): void {
  for (const x of tensors) guarded('clearGradients', () => addon().clearGradient(x.handle))
}
