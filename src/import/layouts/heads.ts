/** Heads of attention of released encoders, which shapes do not show: by width and depth. */
const released: Readonly<Record<string, number>> = {
  ...{ '192/12': 3, '384/12': 6, '768/12': 12, '1024/24': 16, '1280/32': 16 },
  ...{ '1408/40': 16, '1536/40': 24, '1152/27': 16, '4096/40': 32 },
}

/** With attention pooling 1536 × 40 is SigLIP 2 g-opt, not DINOv2 g. */
export const releasedHeads = (width: number, depth: number, isPooled = false): number | null =>
  isPooled && width === 1536 ? 16 : (released[`${width}/${depth}`] ?? null)
