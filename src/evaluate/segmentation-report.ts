/** Segmentation as files: `report.json`, `report.md` and `segmentation.png`. */
import { join } from 'node:path'
import { makeFolder, writeWhole } from '../files/write-whole.ts'
import { drawGrid } from '../picture/tile-grid.ts'
import type { GridPicture } from '../picture/tile-grid-layout.ts'
import type { SegmentationReport } from './evaluate-segmentation.ts'
import { percent, plain, readsLine, tableOf, withDeviation } from './markdown.ts'

const orNone = (share: number | null) => (share === null ? '–' : percent(share))

export function segmentationMarkdown(report: SegmentationReport): string {
  const { model, data, reads, classes, rows, chance, seeds } = report
  const best = rows.reduce((a, b) => (b.meanIou.mean > a.meanIou.mean ? b : a))
  const shown = (value: (typeof best)['meanIou']) => withDeviation(value, seeds.length)
  return `# segment: mIoU ${shown(best.meanIou)} % (${best.head})

Heads on frozen features; test images chose nothing. The commonest class everywhere would reach mIoU ${percent(chance.meanIou)} %,
pixel accuracy ${percent(chance.pixelAccuracy)} %.

${tableOf(rows, [
  ['head', ({ head, title }) => `${head}: ${title}`],
  ['mIoU, %', ({ meanIou }) => shown(meanIou)],
  ['pixel accuracy, %', ({ pixelAccuracy }) => shown(pixelAccuracy)],
  ['mean accuracy, %', ({ meanAccuracy }) => shown(meanAccuracy)],
])}

- model: ${plain(model.path)}${model.step === null ? '' : `, step ${model.step}`}; features in ${model.precision}
${reads ? `- ${readsLine(reads)}\n` : ''}- training images: ${data.trainImages}, ${plain(data.train)}
- test images: ${data.testImages}, ${plain(data.test)}
- files that could not be read: ${data.skipped}
- seeds: ${seeds.join(', ')}
- settings: ${Object.entries(report.settings)
    .map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(' × ') : String(value)}`)
    .join('; ')}
- time: ${report.seconds.toFixed(0)} s

## IoU by class, in % (seed ${seeds[0]})

${tableOf(
  classes.map((name, label) => ({ name, label })),
  [
    ['class', ({ name }) => plain(name)],
    ['share of the pixels', ({ label }) => percent(best.overlap.classes[label]!.share)],
    ...rows.flatMap(({ head, overlap }) => {
      const of =
        (what: 'iou' | 'accuracy' | 'precision') =>
        ({ label }: { label: number }) =>
          orNone(overlap.classes[label]![what])
      return [
        [head, of('iou')],
        [`${head}: recall`, of('accuracy')],
        [`${head}: precision`, of('precision')],
      ] as const
    }),
  ],
)}

A class that is neither in the masks nor in the predictions has no IoU and does not count in the mean. Recall: how many of the
pixels of the class were found. Precision: how many of those that were given its name are of it.

![Some test images with their masks and the heads of seed ${seeds[0]}](segmentation.png)
`
}

/** Throws `RUN`. */
export async function writeSegmentation(
  dir: string,
  report: SegmentationReport,
  picture: GridPicture,
): Promise<void> {
  const markdown = segmentationMarkdown(report)
  const png = await drawGrid(picture)
  makeFolder(dir)
  writeWhole(join(dir, 'segmentation.png'), png)
  writeWhole(join(dir, 'report.md'), markdown)
  writeWhole(join(dir, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
}
