/** Everything that reads what strangers may have written, with whole files to damage. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unzipSync, zipSync } from 'fflate'
import sharp from 'sharp'
import { damageOf, loadCheckpoint, saveCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { createRun, openRun, type RunFacts } from '../../src/checkpoint/run-folder.ts'
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { withOverride } from '../../src/config/overrides.ts'
import { presetOf } from '../../src/config/presets.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { npyHeader, readNpy } from '../../src/files/npy.ts'
import { flatten } from '../../src/import/flatten.ts'
import { openTorchFile } from '../../src/import/torch-file.ts'
import { initialParameters, type ParameterRow } from '../../src/model/parameters.ts'
import { onnxParts, readMetadata } from '../../src/onnx/onnx-file.ts'
import { disposeState, initialState } from '../../src/optim/optimizer.ts'
import { packageRoot } from '../../src/package-root.ts'
import { tryDecodeImage } from '../../src/prepare/decode/decode.ts'
import { reasonOf } from '../../src/prepare/decode/refused-file.ts'
import { readIndexMask } from '../../src/prepare/masks/index-mask.ts'
import { openReader } from '../../src/prepare/open-reader.ts'
import { packImages } from '../../src/prepare/pack/pack.ts'
import { rasterReader } from '../../src/prepare/raster/raster-reader.ts'
import { readMetrics, readNotes } from '../../src/run/journal.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { openMaskedFolder } from '../../src/source/masked-folder.ts'
import { openPack } from '../../src/source/packed-images.ts'
import { openRasterFolder } from '../../src/source/raster/raster-folder.ts'
import { scope } from '../../src/tensor/scope.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { called, dictionary, global, tensorOf, text, writeTorchLegacy } from '../import/write-pickle.ts'
import { bmp } from '../prepare/decode/make-bmp.ts'
import { rawPng } from '../prepare/decode/make-png.ts'
import { npyTexts, npz, rasterOptions, npy as rawArray, tiff } from '../source/raster/make-rasters.ts'

export interface Parser {
  readonly name: string
  /** Whole files; one of them is damaged. */
  readonly samples: readonly Uint8Array[]
  /** Reads the damaged file. What is wrong with it must come as a `SherdError`, or as a reason. */
  readonly parse: (file: Buffer) => unknown
}

const rows: ParameterRow[] = [
  { name: 'blocks.0.weight', shape: [3, 5], initial: 'xavier' },
  { name: 'norm.bias', shape: [5], initial: 'ones' },
]
const LIMIT = 1e6 // pixels
const cases = join(packageRoot(), '../shared/cases')
const SIDE = 24

const pixels = Buffer.from(Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) % 256))
const image = () => sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })

/** A file in the place of `path`, read by `body`. */
const inPlace = (path: string, body: () => unknown) => (file: Buffer) => {
  writeFileSync(path, file)
  return body()
}

async function imageParsers(dir: string): Promise<Parser[]> {
  const frames = Buffer.concat([pixels, pixels])
  const kinds: Record<string, readonly Promise<Buffer>[]> = {
    jpeg: [
      image().jpeg().toBuffer(),
      image().jpeg({ progressive: true }).toBuffer(),
      image().grayscale().jpeg().toBuffer(),
      image()
        .withExif({ IFD0: { Orientation: '6' } })
        .jpeg()
        .toBuffer(),
      image().resize(200, 150).jpeg({ quality: 95 }).toBuffer(),
    ],
    png: [
      image().png().toBuffer(),
      image().png({ palette: true }).toBuffer(),
      image().ensureAlpha(0.5).png().toBuffer(),
      image().toColourspace('rgb16').png().toBuffer(),
      readFile(join(cases, 'images/orientation/png-rawprofile-6.png')),
    ],
    webp: [image().webp().toBuffer(), image().webp({ lossless: true }).toBuffer()],
    tiff: [
      image().tiff().toBuffer(),
      image().tiff({ tile: true, tileWidth: 16, tileHeight: 16, compression: 'lzw' }).toBuffer(),
      readFile(join(cases, 'naip/rgbn8-photometric-rgb.tif')),
      readFile(join(cases, 'dark/sentinel-rgb-0.tif')),
    ],
    gif: [
      image().gif().toBuffer(),
      sharp(frames, { raw: { width: SIDE, height: 2 * SIDE, channels: 3, pageHeight: SIDE } })
        .gif()
        .toBuffer(),
    ],
    avif: [image().avif({ effort: 0 }).toBuffer()],
    bmp: ([1, 8, 16, 24, 32] as const).map(async (bits) =>
      bmp(
        Array.from({ length: 6 }, (_, y) =>
          Array.from({ length: 15 }, (_, x) => ((x + y) % 2 === 0 ? 255 : 0)),
        ),
        { bits, ...(bits === 32 && { masks: [0xff, 0xff00, 0xff0000, 0xff000000] }) },
      ),
    ),
  }
  const target = { width: 16, height: 16 }
  const out = new Uint8Array(16 * 16 * 3)
  return Promise.all(
    Object.entries(kinds).map(async ([name, made]): Promise<Parser> => {
      const path = join(dir, `image-${name}`)
      const request = { target, channels: 3, minSide: 4, maxPixels: LIMIT, range: [9, 4095] as const }
      const place = ({ width, height }: { width: number; height: number }) => ({
        box: { left: 0, top: 0, width, height },
        flip: false,
      })
      return {
        name: `an image: ${name}`,
        samples: await Promise.all(made),
        parse: inPlace(path, () => tryDecodeImage(path, { ...request, place }, out)),
      }
    }),
  )
}

/** Rasters as GDAL and NumPy write them, opened and read whole. */
function rasterParsers(dir: string): Parser[] {
  const fixtures = join(packageRoot(), 'test/fixtures/rasters')
  const fixture = (name: string) => readFileSync(join(fixtures, name))
  const cube = rawArray('u2', [2, 2, 5, 6], (i) => i)
  const dates = rawArray('M8[s]', [2], (i) => i * 1e6)
  const bands = npyTexts(['B2', 'B3'])
  const kinds: Record<string, readonly [ending: string, samples: readonly Uint8Array[]]> = {
    'a GeoTIFF': [
      'tif',
      readdirSync(fixtures)
        .filter((name) => /^(?:deflate|lzw|none|packbits|big|nodata|nan)/.test(name) && name.endsWith('.tif'))
        .map(fixture),
    ],
    'a GeoTIFF in Zstandard': [
      'tif',
      readdirSync(fixtures)
        .filter((name) => name.startsWith('zstd'))
        .map(fixture),
    ],
    'a GeoTIFF with a mask': ['tif', [readFileSync(join(cases, 'rasters/internal-mask/a_20200101.tif'))]],
    'an .npy of rasters': ['npy', [cube]],
    'an .npz': [
      'npz',
      [
        npz({ images: cube, dates, bands }),
        npz({ images: cube, dates, bands }, 0),
        fixture('members.npz'),
        fixture('series.npz'),
      ],
    ],
  }
  return Object.entries(kinds).map(([name, [ending, samples]], i) => {
    const own = join(dir, `rasters-${i}`)
    mkdirSync(own)
    return {
      name,
      samples,
      // A file of one band that calls it otherwise is told by its name.
      parse: inPlace(join(own, `a_B2.${ending}`), async () => {
        const options = {
          bands: ['B2'],
          bandNames: ['B2', 'B3'],
          frames: 2,
          window: ending === 'tif' ? 16 : 4,
        }
        const source = await openRasterFolder(own, { ...rasterOptions, ...options })
        const target = { width: 7, height: 5 }
        const out = new Uint8Array(2 * 7 * 5 * 4)
        const place = ({ width, height }: { width: number; height: number }) => ({
          box: { left: 0, top: 0, width, height },
          flip: true,
        })
        const reader = rasterReader(source, 1)
        for (let index = 0; index < Math.min(source.files.length, 20); index++)
          await reader.read([{ index, row: 0, place }], {
            ...{ target, channels: 1, minSide: 1, maxPixels: LIMIT, out },
          })
        reader.close()
      }),
    }
  })
}

/** Weights as PyTorch writes them, and the pickle in them alone, which a sum in the zip would else protect. */
function onnxParser(dir: string): Parser {
  const path = join(dir, 'encoder.onnx')
  const value = { name: 'x', type: 'float32', shape: [{ batch: 1 }, 2] } as const
  const graph = {
    ...{ name: 'g', opset: 17, nodes: [], initializers: [], values: [] },
    ...{ inputs: [value], outputs: [value] },
  }
  const file = Buffer.concat(onnxParts(graph, { 'sherd.format': 'x', sherd: '{"a":[1,2,3]}' }, '1'))
  return { name: 'metadata of ONNX', samples: [file], parse: inPlace(path, () => readMetadata(path)) }
}

function torchParsers(dir: string): Parser[] {
  const fixtures = join(packageRoot(), 'test/fixtures/weights')
  const files = ['mae.pth', 'odd.pth', 'huggingface-vit/pytorch_model.bin'].map((name) =>
    readFileSync(join(fixtures, name)),
  )
  const path = join(dir, 'weights.pth')
  const value = dictionary([text('a'), tensorOf(3, 1, [2], [1])], [text('b'), called(global('a', 'B'))])
  const legacy = readFileSync(writeTorchLegacy(join(dir, 'old.pth'), value, { 0: [1, 2, 3] }))
  const parse = async (readAll: boolean) => {
    const file = await openTorchFile(path)
    try {
      const { tensors } = flatten(file.value)
      if (readAll) for (const tensor of tensors.values()) await file.read(tensor)
    } finally {
      await file.close()
    }
  }
  const pickles = files.map((file) => {
    const members = unzipSync(file)
    return members[Object.keys(members).find((name) => name.endsWith('/data.pkl'))!]!
  })
  return [
    { name: 'a PyTorch file', samples: [...files, legacy], parse: inPlace(path, () => parse(true)) },
    {
      name: 'the pickle of a PyTorch file',
      samples: pickles,
      parse: (pickle) =>
        inPlace(path, () => parse(false))(Buffer.from(zipSync({ 'a/data.pkl': pickle }, { level: 0 }))),
    },
  ]
}

/** All of them, with files below `dir`. */
export async function parsers(dir: string): Promise<Parser[]> {
  const parameters = initialParameters(rows, { seed: 1, device: 'cpu' })
  const optimizer = initialState({ slots: ['exp_avg', 'exp_avg_sq'] }, parameters)
  const training = { parameters, optimizer, step: 1, samples: 8 }
  const checkpoint = saveCheckpoint(join(dir, 'checkpoints'), training, { keep: 1 })
  const inCheckpoint = (name: string): Parser => {
    const own = join(dir, `checkpoint-${name}`)
    cpSync(checkpoint, own, { recursive: true })
    return {
      name: `a checkpoint's ${name}`,
      samples: [readFileSync(join(own, name))],
      parse: inPlace(join(own, name), () => {
        damageOf(own)
        return scope(() => {
          const { parameters, optimizer } = loadCheckpoint(own, rows, 'cpu')
          for (const each of parameters.values()) each.dispose()
          disposeState(optimizer)
        })
      }),
    }
  }
  const weights = join(dir, 'some.safetensors')
  scope(() =>
    writeSafetensors(
      weights,
      new Map([
        ['a', tensor([1, 2, 3], [3])],
        ['b.c', tensor([4], [1, 1])],
      ]),
      { format: 'pt' },
    ),
  )
  const npy = join(dir, 'some.npy')
  const array = Buffer.concat([npyHeader({ dtype: '<f4', shape: [3, 2] }), Buffer.alloc(24)])

  const images = join(dir, 'images')
  mkdirSync(join(images, 'a'), { recursive: true })
  for (let i = 0; i < 3; i++) writeFileSync(join(images, 'a', `${i}.png`), await image().png().toBuffer())
  const pack = join(dir, 'pack')
  await packImages({ source: await openImageFolder(images), out: pack, version: '0' })
  const inPack = (name: string): Parser => {
    const own = join(dir, `pack-${name}`)
    cpSync(pack, own, { recursive: true })
    return {
      name: `a pack's ${name}`,
      samples: [readFileSync(join(own, name))],
      parse: inPlace(join(own, name), async () => {
        const source = openPack(own)
        const reader = openReader(source, 1)
        try {
          const out = new Uint8Array(8 * 8 * 3 * source.files.length)
          const place = () => ({ box: { left: 0, top: 0, width: 4, height: 4 }, flip: false })
          const wanted = source.files.map((_, index) => ({ index, row: index, place }))
          await reader.read(wanted, {
            target: { width: 8, height: 8 },
            channels: 3,
            minSide: 1,
            maxPixels: LIMIT,
            out,
          })
        } finally {
          reader.close()
        }
      }),
    }
  }

  const run = join(dir, 'run')
  const facts: RunFacts = {
    ...{ format: 'sherd-run/1', preset: 'tiny', started: new Date(0).toISOString() },
    data: { dir: images, files: 3, fingerprint: '0', classes: [] },
    statistics: { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
    engine: { libtorch: '1', device: 'cpu', precision: 'float32', threads: 1 },
  }
  createRun(run, resolveConfig({}), facts)
  const inRun = (name: string): Parser => {
    const own = join(dir, `run-${name}`)
    cpSync(run, own, { recursive: true })
    return {
      name: `a run's ${name}`,
      samples: [readFileSync(join(own, name))],
      parse: inPlace(join(own, name), () => openRun(own)),
    }
  }
  const journal = join(dir, 'journal.jsonl')

  const masked = join(dir, 'masked')
  for (const name of ['images', 'masks']) mkdirSync(join(masked, name), { recursive: true })
  const mask = (colour: 0 | 3, depth: 1 | 2 | 4 | 8) =>
    rawPng({
      width: 8,
      height: 4,
      colour,
      depth,
      values: Array.from({ length: 32 }, (_, i) => i % 2 ** depth),
    })
  for (const name of ['images', 'masks']) writeFileSync(join(masked, name, 'a.png'), mask(0, 8))
  const maskPath = join(dir, 'mask.png')

  const base = presetOf('mae-demo').config
  return [
    {
      name: 'safetensors',
      samples: [readFileSync(weights)],
      parse: inPlace(weights, () => scope(() => void readSafetensors(weights))),
    },
    ...['model.safetensors', 'optimizer.safetensors', 'state.json'].map(inCheckpoint),
    {
      name: 'npy',
      samples: [array],
      parse: inPlace(npy, () => readNpy(npy, { dtype: /<f4/, shape: [3, 2] })),
    },
    ...readdirSync(pack).map(inPack),
    ...['config.json', 'run.json'].map(inRun),
    {
      name: 'a journal',
      samples: [Buffer.from('{"step":1,"loss":2}\n{"kind":"probe","step":2}\n')],
      parse: inPlace(journal, () => [readMetrics(journal), readNotes(journal)]),
    },
    {
      name: 'a --set',
      samples: ['train.steps=5', 'data.scale=[0.2,1]', 'optim.clipGradientNorm=null', 'data.crop=center'].map(
        (text) => Buffer.from(text),
      ),
      parse: (file) => resolveConfig(withOverride(base, file.toString('utf8'))),
    },
    {
      name: 'a mask',
      samples: [mask(0, 8), mask(3, 8), mask(3, 4), mask(0, 1)],
      // Why libpng refuses is told in its own words, as for images.
      parse: inPlace(maskPath, () => readIndexMask(maskPath, LIMIT).catch(reasonOf)),
    },
    {
      name: 'a mask as TIFF',
      samples: ['u1', 'u2', 'f4'].map((type) =>
        tiff({ width: 5, height: 4, type: type as 'u1', value: (_, y, x) => x + y }),
      ),
      parse: inPlace(maskPath, () => readIndexMask(maskPath, LIMIT).catch(reasonOf)),
    },
    {
      name: 'names of classes',
      samples: [Buffer.from('ground\nbox\ndisc\n')],
      parse: inPlace(join(masked, 'classes.txt'), () => openMaskedFolder(masked)),
    },
    ...(await imageParsers(dir)),
    ...rasterParsers(dir),
    ...torchParsers(dir),
    onnxParser(dir),
  ]
}
