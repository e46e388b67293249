/** The table of presets: one row an experiment. */
import type { Preset } from '../src/config/preset.ts'
import { preset as beitBase224 } from './beit-base-224.ts'
import { preset as beitTinyCifar10 } from './beit-tiny-cifar10.ts'
import { preset as beitv2TinyCifar10 } from './beitv2-tiny-cifar10.ts'
import { preset as crossmaeBase224 } from './crossmae-base-224.ts'
import { preset as crossmaeTinyCifar10 } from './crossmae-tiny-cifar10.ts'
import { preset as data2vecBase224 } from './data2vec-base-224.ts'
import { preset as data2vecTinyCifar10 } from './data2vec-tiny-cifar10.ts'
import { preset as ijepaHuge224 } from './ijepa-huge-224.ts'
import { preset as ijepaTinyCifar10 } from './ijepa-tiny-cifar10.ts'
import { preset as maeBase224 } from './mae-base-224.ts'
import { preset as maeDemo } from './mae-demo.ts'
import { preset as maeHuge224 } from './mae-huge-224.ts'
import { preset as maeLarge224 } from './mae-large-224.ts'
import { preset as maeSmall64 } from './mae-small-64.ts'
import { preset as maeTinyCifar10 } from './mae-tiny-cifar10.ts'
import { preset as maskfeatBase224 } from './maskfeat-base-224.ts'
import { preset as maskfeatTinyCifar10 } from './maskfeat-tiny-cifar10.ts'
import { preset as satmaeBaseSentinel2 } from './satmae-base-sentinel2.ts'
import { preset as satmaeTinySentinel2 } from './satmae-tiny-sentinel2.ts'
import { preset as simmimBase224 } from './simmim-base-224.ts'
import { preset as simmimTinyCifar10 } from './simmim-tiny-cifar10.ts'
import { preset as vqPixelsTinyCifar10 } from './vq-pixels-tiny-cifar10.ts'
import { preset as vqkdTinyCifar10 } from './vqkd-tiny-cifar10.ts'

export const presets: Readonly<Record<string, Preset>> = {
  'mae-tiny-cifar10': maeTinyCifar10,
  'mae-small-64': maeSmall64,
  'mae-base-224': maeBase224,
  'mae-large-224': maeLarge224,
  'mae-huge-224': maeHuge224,
  'simmim-tiny-cifar10': simmimTinyCifar10,
  'maskfeat-tiny-cifar10': maskfeatTinyCifar10,
  'beit-tiny-cifar10': beitTinyCifar10,
  'beitv2-tiny-cifar10': beitv2TinyCifar10,
  'simmim-base-224': simmimBase224,
  'maskfeat-base-224': maskfeatBase224,
  'beit-base-224': beitBase224,
  'satmae-tiny-sentinel2': satmaeTinySentinel2,
  'satmae-base-sentinel2': satmaeBaseSentinel2,
  'vqkd-tiny-cifar10': vqkdTinyCifar10,
  'vq-pixels-tiny-cifar10': vqPixelsTinyCifar10,
  'crossmae-tiny-cifar10': crossmaeTinyCifar10,
  'crossmae-base-224': crossmaeBase224,
  'data2vec-tiny-cifar10': data2vecTinyCifar10,
  'data2vec-base-224': data2vecBase224,
  'ijepa-tiny-cifar10': ijepaTinyCifar10,
  'ijepa-huge-224': ijepaHuge224,
  'mae-demo': maeDemo,
}
