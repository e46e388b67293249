/** What a file or folder can be: the table of kinds, each with how it is recognised and described. The first that fits is taken. */
import { existsSync, readdirSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { isLfsPointer, lfsAdvice } from '../files/lfs-pointer.ts'
import { isForeignFolder, isTorchFile } from '../import/not-imported.ts'
import { formatOf } from '../prepare/decode/image-format.ts'
import { imageExtensions } from '../source/image-folder.ts'
import { isMaskedFolder } from '../source/masked-folder.ts'
import { isPack } from '../source/packed-images.ts'
import { rasterExtensions } from '../source/raster/raster-formats.ts'
import { adapterFolder } from '../weights/adapter-folder.ts'
import { describeAdapter } from './adapter.ts'
import { describeFeatures, describeIndex, describePack, isFeatures } from './collection.ts'
import { describeImages, describeMasked, describeRasters, hasRasters } from './folder.ts'
import { type Description, describe, type InspectOptions, type KindName, type Place } from './inspected.ts'
import {
  describeCheckpoint,
  describeExports,
  describeForeign,
  describeOnnx,
  describeRun,
  describeSafetensors,
} from './model.ts'
import { describePicture } from './picture.ts'

export interface Kind {
  readonly isIt: (place: Place) => boolean | Promise<boolean>
  readonly describe: (path: string, options: InspectOptions) => Promise<Description>
}

const has = (path: string, ...names: string[]) => names.every((name) => existsSync(join(path, name)))
const ending = ({ path }: Place) => extname(path).toLowerCase()
const refused = (title: string, reason: string) => async () => describe(title, { reason })

export const kinds = {
  run: {
    isIt: ({ path, isFolder }) => isFolder && has(path, 'run.json', 'config.json'),
    describe: describeRun,
  },
  checkpoint: {
    isIt: ({ path, isFolder }) =>
      isFolder &&
      has(path, 'model.safetensors') &&
      (has(path, 'state.json') || /^step-\d+$/.test(basename(path))),
    describe: describeCheckpoint,
  },
  adapter: { isIt: ({ path }) => adapterFolder(path) !== null, describe: describeAdapter },
  pack: { isIt: ({ path, isFolder }) => isFolder && isPack(path), describe: describePack },
  index: { isIt: ({ path, isFolder }) => isFolder && has(path, 'index.json'), describe: describeIndex },
  huggingface: { isIt: ({ path, isFolder }) => isFolder && isForeignFolder(path), describe: describeForeign },
  graphs: {
    isIt: ({ path, isFolder }) => isFolder && readdirSync(path).some((name) => /\.onnx$/i.test(name)),
    describe: describeExports,
  },
  'masked images': {
    isIt: ({ path, isFolder }) => isFolder && isMaskedFolder(path),
    describe: describeMasked,
  },
  rasters: { isIt: ({ path, isFolder }) => isFolder && hasRasters(path), describe: describeRasters },
  images: { isIt: ({ isFolder }) => isFolder, describe: describeImages },
  pointer: { isIt: ({ start }) => isLfsPointer(start), describe: refused('Git LFS pointer', lfsAdvice) },
  features: { isIt: ({ path }) => isFeatures(path), describe: describeFeatures },
  weights: { isIt: (place) => ending(place) === '.safetensors', describe: describeSafetensors },
  graph: { isIt: (place) => ending(place) === '.onnx', describe: describeOnnx },
  pytorch: { isIt: ({ path, start }) => isTorchFile(path, start), describe: describeForeign },
  // An image or a raster.
  picture: {
    isIt: (place) =>
      formatOf(place.start) !== null ||
      imageExtensions.some((each) => each === ending(place)) ||
      rasterExtensions.includes(ending(place)),
    describe: describePicture,
  },
  other: {
    isIt: () => true,
    describe: refused(
      'file of another kind',
      `it is none of what sherd reads: images, rasters (${rasterExtensions.join(' ')}), .safetensors, .onnx, PyTorch files`,
    ),
  },
} as const satisfies Readonly<Record<Exclude<KindName, 'image' | 'raster' | 'special'> | 'picture', Kind>>
