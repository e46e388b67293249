/** The picture of reconstructions: every column says what it is and which statistics it used. */

import type { StatisticsUsed } from '../target/patch-statistics.ts'
import { meanQuality, type Quality } from '../target/reconstruction-quality.ts'
import { heatColour } from './rebuilt-tiles.ts'
import type { Reconstructions } from './reconstruction.ts'
import { drawGrid } from './tile-grid.ts'
import type { Colour, GridPicture } from './tile-grid-layout.ts'

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
  { images, samples, hiddenShare, bands, errors }: Reconstructions,
  { title, step }: ReconstructionPicture = {},
): GridPicture {
  const variants = images[0]?.rebuilt.map(({ statistics }) => statistics) ?? []
  const measured = samples === 1 ? '' : `, mean of ${samples} images`
  const at = step === undefined ? '' : ` Step ${step.toLocaleString('en-US')}.`
  return {
    columns: [
      { title: 'original', ...(bands && { subtitle: bands }) },
      { title: 'masked', subtitle: `${percent(hiddenShare)} hidden` },
      ...variants.map((statistics, i) => ({
        title: 'reconstruction',
        subtitle: subtitles[statistics],
        note: qualityNote(meanQuality(images.map(({ rebuilt }) => rebuilt[i]!.quality))),
      })),
      ...(errors
        ? [
            {
              title: 'error',
              subtitle: 'of what is\u00a0predicted',
              note: `mean\u00a0${significant(errors.mean)}`,
            },
          ]
        : []),
    ],
    rows: images.map(({ original, masked, rebuilt, errors }) => [
      original,
      masked,
      ...rebuilt.map(({ tile }) => tile),
      ...(errors ? [errors] : []),
    ]),
    ...(errors && {
      legend: [0, 0.25, 0.5, 0.75, 1].map((share) => ({
        name: significant(share * errors.most),
        colour: heatColour(share) as Colour,
      })),
    }),
    ...(title && { title }),
    // Above the first row of a date, and the composite beside each.
    captions: images.map(({ caption }, i) =>
      caption && caption !== images[i - 1]?.caption ? caption : null,
    ),
    labels: images.map(({ label = null }) => label),
    footer: errors
      ? `Error: hidden patches, in the target's own numbers${measured}.${at}`
      : `PSNR and SSIM: hidden patches only${measured}.${at}`,
  }
}

const significant = (value: number) => String(Number(value.toPrecision(3)))
const percent = (share: number) => `${Number((100 * share).toFixed(1))}\u00a0%`
const qualityNote = ({ psnr, ssim }: Quality) =>
  `PSNR\u00a0${fixed(psnr, 1, '\u00a0dB')}\nSSIM\u00a0${fixed(ssim, 3)}`
function fixed(value: number, digits: number, unit = ''): string {
  if (Number.isNaN(value)) return 'not\u00a0finite'
  return (Number.isFinite(value) ? value.toFixed(digits) : '∞') + unit
}
