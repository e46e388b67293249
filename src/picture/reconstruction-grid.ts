/** The picture of reconstructions: every column says what it is and which statistics it used. */

import type { StatisticsUsed } from '../target/patch-statistics.ts'
import { meanQuality, type Quality } from '../target/reconstruction-quality.ts'
import { scaled } from './painted.ts'
import type { Reconstructions } from './reconstruction.ts'
import type { Tile } from './tile.ts'
import { drawGrid } from './tile-grid.ts'
import type { GridPicture } from './tile-grid-layout.ts'

// No-break spaces: lines break before "visible" and "(leaks", and keep a number with its unit.
const subtitles: Record<StatisticsUsed, string> = {
  raw: 'raw pixels',
  neighbours: 'statistics: from visible\u00a0neighbours',
  true: 'statistics: true (leaks\u00a0the\u00a0answer)',
}

export interface ReconstructionPicture {
  readonly title?: string
  /** The optimizer step of the weights. */
  readonly step?: number
}

/** Draws reconstructions as PNG, one row for each image. */
export const drawReconstructions = (
  made: Reconstructions,
  about: ReconstructionPicture = {},
): Promise<Buffer> => drawGrid(reconstructionGrid(made, about))

/** The grid that `drawReconstructions` draws. */
export function reconstructionGrid(
  { images, samples, hiddenShare, bands, more, errors }: Reconstructions,
  { title, step }: ReconstructionPicture = {},
): GridPicture {
  const variants = images[0]?.rebuilt.map(({ statistics }) => statistics) ?? []
  const measured = samples === 1 ? '' : `, mean of ${samples} images`
  const which = hiddenShare === null ? 'all patches' : 'hidden patches'
  const footers = [
    ...(variants.length > 0
      ? [`PSNR and SSIM: ${which}${hiddenShare === null ? '' : ' only'}${measured}.`]
      : []),
    ...(errors ? [`Error: predicted patches, in the target's own numbers${measured}.`] : []),
    ...(more?.footers ?? []),
    ...(step === undefined ? [] : [`Step ${step.toLocaleString('en-US')}.`]),
  ]
  return {
    columns: [
      { title: 'original', ...(bands && { subtitle: bands }) },
      ...(hiddenShare === null ? [] : [{ title: 'masked', subtitle: `${percent(hiddenShare)} hidden` }]),
      ...variants.map((statistics, i) => ({
        title: 'reconstruction',
        subtitle: subtitles[statistics],
        note: qualityNote(meanQuality(images.map(({ rebuilt }) => rebuilt[i]!.quality))),
      })),
      ...(more?.columns ?? []),
    ],
    rows: images.map(({ original, masked, rebuilt, shown = [] }) =>
      ofOneSize([
        original,
        ...(hiddenShare === null ? [] : [masked]),
        ...rebuilt.map(({ tile }) => tile),
        ...shown,
      ]),
    ),
    ...(more?.legend && { legend: more.legend }),
    ...(title && { title }),
    // Above the first row of a date, and the composite beside each.
    captions: images.map(({ caption }, i) =>
      caption && caption !== images[i - 1]?.caption ? caption : null,
    ),
    labels: images.map(({ label = null }) => label),
    footer: footers.join(' '),
  }
}

/** Smaller ones magnified, so that all tiles of a row are as large as the largest. */
function ofOneSize(tiles: readonly Tile[]): Tile[] {
  const [width, height] = [Math.max(...tiles.map((t) => t.width)), Math.max(...tiles.map((t) => t.height))]
  return tiles.map((tile) =>
    tile.width === width && tile.height === height ? tile : scaled(tile, width, height),
  )
}

const percent = (share: number) => `${Number((100 * share).toFixed(1))}\u00a0%`
const qualityNote = ({ psnr, ssim }: Quality) =>
  `PSNR\u00a0${fixed(psnr, 1, '\u00a0dB')}\nSSIM\u00a0${fixed(ssim, 3)}`
function fixed(value: number, digits: number, unit = ''): string {
  if (Number.isNaN(value)) return 'not\u00a0finite'
  return (Number.isFinite(value) ? value.toFixed(digits) : '∞') + unit
}
