/**
 * Makes idle OpenMP threads sleep. By default GNU OpenMP lets them spin, which is fastest if they own every core; beside decoding a
 * spinning thread occupies the core that another one needs, and a step can take several times as long. Call it before LibTorch is loaded.
 */
export function letWaitingThreadsSleep(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= '0'
}
