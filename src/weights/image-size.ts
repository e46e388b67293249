/** A model for images of another size than its configuration says: its positions follow by its family's own rule, inside the graph. */
import { atOneSize, configAt } from '../config/resolve.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import { sidesOf } from '../token/grid.ts'

/** In pixels. */
export type ImageSize = readonly [height: number, width: number]

/** The multiples of a patch around a side: the one below, where there is one, and the one above. */
const around = (side: number, patch: number) => {
  const below = Math.floor(side / patch) * patch
  return below === side ? [side] : [...(below > 0 ? [below] : []), below + patch]
}

/** With one size for all images. Throws `USAGE` for a size that the patch does not divide, and says which it does. */
export function sizedConfig(config: Config, size: ImageSize): Config {
  const { imageSize, patchSize } = config.model
  if (imageSize.join() === size.join()) return atOneSize(config)
  const patch = sidesOf(patchSize)
  const [heights, widths] = size.map((side, i) => around(side, patch[i]!)) as [number[], number[]]
  if (heights[0] !== size[0] || widths[0] !== size[1])
    throw new SherdError(
      'USAGE',
      `--image-size ${size.join('x')}: the patches of this model are ${patch.join(' × ')} pixels, so its sides are multiples of them. The nearest sizes are ${heights.flatMap((h) => widths.map((w) => `${h}x${w}`)).join(', ')}.`,
    )
  return configAt(atOneSize(config), size)
}
