/**
 * Where training gets its batches from, by `data.cache`: files or packed images that are read again in every epoch, decoded images in memory,
 * or images on the device, of which the loader gives places alone. Samples, order, substitutes and resuming are those of the loader in all.
 */
import { SherdError } from '../../errors.ts'
import { gpus } from '../../machine/hardware.ts'
import { availableBytes } from '../../machine/memory.ts'
import type { Size } from '../../source/box.ts'
import type { PackedImages } from '../../source/packed-images.ts'
import type { Device } from '../../tensor/tensor.ts'
import type { Batch, LoaderOptions } from '../loader/loader.ts'
import type { ChannelStatistics } from '../normalize.ts'
import { toViews } from '../upload.ts'
import type { View } from '../view.ts'
import { copiesOf, type PlacedSpec, type ViewSpecs } from '../view-spec.ts'
import type { CacheKind } from './caches.ts'
import {
  bytesOnDevice,
  type DeviceImagesRequest,
  disposeDeviceImages,
  openDeviceImages,
} from './device-images.ts'
import { gigabytes, holdImages } from './hold.ts'
import type { PlacedImages } from './placed-reader.ts'

export interface Feed<V extends ViewSpecs = ViewSpecs> {
  /** For `openLoader`; position, seed and listener are the caller's. */
  readonly loader: LoaderOptions
  /** Called inside a scope. */
  readonly toViews: (batch: Pick<Batch, 'fields'>) => { readonly [Name in keyof V]: View }
  /** Frees what is on the device. */
  readonly close: () => void
}

export interface FeedRequest<V extends ViewSpecs> {
  readonly loader: LoaderOptions
  readonly views: V
  readonly statistics: ChannelStatistics
  readonly device: Device
  readonly signal?: AbortSignal | undefined
}

type OpenFeed = <V extends ViewSpecs>(request: FeedRequest<V>) => Promise<Feed<V>>

const fromSource = <V extends ViewSpecs>(
  loader: LoaderOptions,
  { views, statistics, device }: FeedRequest<V>,
): Feed<V> => ({
  loader: { ...loader, views },
  toViews: (batch) => toViews(batch, views, { statistics, device }),
  close: () => {},
})

/** The images of a loader in memory. Throws as `openFeed`. */
export async function held(
  { source, ...options }: LoaderOptions,
  signal: AbortSignal | undefined,
): Promise<PackedImages> {
  const { maxPixels, corrupt, fileTimeout, range, rules } = options
  if (source.kind !== 'images' && source.kind !== 'packed')
    throw new SherdError(
      'CONFIG',
      `data.cache keeps images in memory, and ${source.dir} holds ${source.kind}: take none.`,
    )
  if (rules?.colours === 'resized')
    throw new SherdError(
      'CONFIG',
      'data.cache keeps images as colours, and data.colours=resized makes them after resizing. Take data.cache=none, or other colours.',
    )
  return holdImages(source, { request: { maxPixels, corrupt, fileTimeout, range, rules }, signal })
}

const feeds: Readonly<Record<CacheKind, OpenFeed>> = {
  none: async (request) => fromSource(request.loader, request),
  memory: async (request) => {
    const { loader, signal } = request
    return fromSource({ ...loader, source: await held(loader, signal) }, request)
  },
  async device({ loader, views, statistics, device, signal }) {
    expectPlaceable({ ...loader, views })
    const { channels, rules } = loader
    const targets = Object.values(views).map(({ size: [height, width] }) => ({ height, width }))
    const request: DeviceImagesRequest = { targets, channels, rules, statistics, device }
    const source = await held(loader, signal)
    const size = commonSize(source)
    expectRoom(source, size, request)
    const images = openDeviceImages(source, size, request)
    const { dir, files, classes, labels, pack } = source
    const places: PlacedImages = {
      ...{ kind: 'placed', dir, files, classes, labels, size },
      unusable: pack.unusable ?? new Map(),
    }
    const placed: Record<string, PlacedSpec> = Object.fromEntries(
      Object.entries(views).map(([name, spec]) => [name, { ...spec, kind: 'placed' }]),
    )
    return {
      loader: { ...loader, source: places, views: placed },
      toViews: (batch) =>
        toViews(batch, placed, { statistics, device, images }) as { [Name in keyof typeof views]: View },
      close: () => disposeDeviceImages(images),
    }
  },
}

/** Throws `CONFIG` for sets that do not fit, or views that a cache cannot give; `SOURCE`, `INTERRUPTED`. */
export const openFeed = <V extends ViewSpecs>(cache: CacheKind, request: FeedRequest<V>): Promise<Feed<V>> =>
  feeds[cache](request)

/** Views of crops without photometric steps. */
function expectPlaceable({ views, photometric, randAugment }: LoaderOptions): void {
  const recoloured = copiesOf(views!).find(
    ({ photometric: own = photometric }) => Boolean(own) || Boolean(randAugment),
  )
  if (recoloured)
    throw new SherdError(
      'CONFIG',
      `data.cache=device crops, resizes and mirrors images on the device, and the view "${recoloured.view}" changes their colours too. Take data.cache=memory, or data.photometric=null and no RandAugment.`,
    )
}

/** Of all images that can be used. */
function commonSize({ dir, files, pack: { shapes, unusable } }: PackedImages): Size {
  const first = files.findIndex((_, i) => !unusable?.has(i))
  const sizeOf = (i: number): Size => ({ height: shapes[2 * i]!, width: shapes[2 * i + 1]! })
  if (first < 0)
    throw new SherdError(
      'DATA_BROKEN',
      `None of the ${files.length} images of ${dir} can be used: ${files[0]}: ${unusable?.get(0)}`,
    )
  const size = sizeOf(first)
  for (let i = first + 1; i < files.length; i++) {
    const own = sizeOf(i)
    if (unusable?.has(i) || (own.height === size.height && own.width === size.width)) continue
    throw new SherdError(
      'CONFIG',
      `data.cache=device needs images of one size, and of ${dir} ${files[first]} has ${size.width} x ${size.height} pixels, but ${files[i]} ${own.width} x ${own.height}. Take data.cache=memory.`,
    )
  }
  return size
}

/** Half of a GPU's memory, as nvidia-smi gives it; infinite where it does not. What is free there is not known. */
function mostOn(device: Device): number {
  if (device === 'cpu') return availableBytes() / 2
  const mebibytes = Number.parseFloat(gpus()[0]?.memory ?? '')
  return Number.isNaN(mebibytes) ? Number.POSITIVE_INFINITY : (mebibytes * 2 ** 20) / 2
}

function expectRoom(
  { dir, files, pack }: PackedImages,
  size: Size,
  { targets, device }: DeviceImagesRequest,
) {
  const bytes = bytesOnDevice(files.length, size, { targets, channels: pack.channels })
  const most = mostOn(device)
  if (bytes > most)
    throw new SherdError(
      'CONFIG',
      `data.cache=device: the ${files.length} images of ${dir}, ${size.width} x ${size.height} pixels, take ${gigabytes(bytes)} with their tables, more than the ${gigabytes(most)} that are half of the memory of ${device}. Take data.cache=memory, or fewer or smaller images.`,
    )
}
