/**
 * How LibTorch's threads wait for each other. GNU OpenMP lets them spin, which is fastest where every core is theirs. In a
 * training run decoding wants the cores too, and a spinning thread holds the one that its partner needs: beside other work
 * a step then takes several times as long. Must be called before LibTorch is loaded.
 */
export function letWaitingThreadsSleep(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= '0'
}
