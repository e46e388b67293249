/** The table of presets: one row an experiment. */
import type { Preset } from '../src/config/preset.ts'
import { preset as maeBase224 } from './mae-base-224.ts'
import { preset as maeDemo } from './mae-demo.ts'
import { preset as maeHuge224 } from './mae-huge-224.ts'
import { preset as maeLarge224 } from './mae-large-224.ts'
import { preset as maeSmall64 } from './mae-small-64.ts'
import { preset as maeTinyCifar10 } from './mae-tiny-cifar10.ts'
import { preset as satmaeBaseSentinel2 } from './satmae-base-sentinel2.ts'
import { preset as satmaeTinySentinel2 } from './satmae-tiny-sentinel2.ts'
import { preset as vqPixelsTinyCifar10 } from './vq-pixels-tiny-cifar10.ts'
import { preset as vqkdTinyCifar10 } from './vqkd-tiny-cifar10.ts'

export const presets: Readonly<Record<string, Preset>> = {
  'mae-tiny-cifar10': maeTinyCifar10,
  'mae-small-64': maeSmall64,
  'mae-base-224': maeBase224,
  'mae-large-224': maeLarge224,
  'mae-huge-224': maeHuge224,
  'satmae-tiny-sentinel2': satmaeTinySentinel2,
  'satmae-base-sentinel2': satmaeBaseSentinel2,
  'vqkd-tiny-cifar10': vqkdTinyCifar10,
  'vq-pixels-tiny-cifar10': vqPixelsTinyCifar10,
  'mae-demo': maeDemo,
}
