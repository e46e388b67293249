/** Reports files that are skipped for their extensions; an error if a class has no others. */
import { basename, extname } from 'node:path'
import { SherdError } from '../errors.ts'
import type { FileKind, ListedFiles } from './list-files.ts'

/** Files that usually lie beside images. */
const BESIDE = new Set(
  '.json .jsonl .csv .tsv .txt .md .xml .yaml .yml .html .htm .ini .cfg .log .db .py .sh .ipynb .pdf .prj .tfw .jgw .pgw .wld .ovr .msk .vrt .geojson'.split(
    ' ',
  ),
)
/** Image formats that a reader does not support. */
const PICTURES = new Set(
  '.heic .heif .jp2 .j2k .jpx .jxl .bmp .dib .tga .ppm .pgm .pbm .pnm .pfm .exr .hdr .psd .svg .ico .eps .pcx .dds .dcm .nii .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .jpg .jpeg .png .webp .tif .tiff .avif .gif .npy .npz .img .hdf .h5 .nc'.split(
    ' ',
  ),
)
const isPicture = (file: string): boolean => PICTURES.has(extname(file).toLowerCase())

const isBeside = (file: string): boolean => {
  const ending = extname(file).toLowerCase()
  return BESIDE.has(ending) || /^(?:readme|license|licence|makefile)$/i.test(basename(file))
}
const LISTED = 8
const NO_ENDING = 'without an ending'

/** `.heic (12), .psd`, commonest first. */
function endingsOf(files: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const file of files) {
    const ending = extname(file).toLowerCase() || NO_ENDING
    counts.set(ending, (counts.get(ending) ?? 0) + 1)
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  const shown = sorted
    .slice(0, LISTED)
    .map(([ending, count]) => `${ending}${counts.size > 1 ? ` (${count})` : ''}`)
  return `${shown.join(', ')}${sorted.length > LISTED ? ', …' : ''}`
}

const count = (files: number) => `${files} ${files === 1 ? 'file' : 'files'}`

/** A note of the skipped files, if any. Throws `SOURCE` if a first-level folder is a class whose images are all in unsupported formats. */
export function leftOutNotes(
  root: string,
  { files, others }: Pick<ListedFiles, 'files' | 'others'>,
  { name, extensions }: FileKind,
): string[] {
  const left = others.filter((file) => !isBeside(file))
  if (left.length === 0) return []
  const convert = `Files ending in ${extensions.join(' ')} are read; convert the others, or move them away.`
  const folderOf = (file: string) => file.slice(0, Math.max(0, file.indexOf('/')))
  const folders = new Set(files.map(folderOf))
  if (!folders.has(''))
    for (const lost of new Set(left.filter(isPicture).map(folderOf)))
      if (lost !== '' && !folders.has(lost)) {
        const own = left.filter((file) => folderOf(file) === lost)
        throw new SherdError(
          'SOURCE',
          `The class ${JSON.stringify(lost)} of ${root} has no ${name}: its ${count(own.length)} ${own.length === 1 ? 'is' : 'are'} ${endingsOf(own)}. ${convert}`,
        )
      }
  return [
    `${count(left.length)} of ${root} ${left.length === 1 ? 'is' : 'are'} left out: ${endingsOf(left)}. ${convert}`,
  ]
}
