/** `sherd sample-data`: writes the built-in labelled images. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { wholeNumber } from './options.ts'
import { endProgress, print, printJson, progress } from './output.ts'

export function addSampleData(root: Command): void {
  root
    .command('sample-data')
    .description('write a labelled set of generated natural scenes, ten classes, always the same')
    .requiredOption('--out <dir>', 'folder to write')
    .option('--count <n>', 'images in all', wholeNumber(10), 2000)
    .option('--size <pixels>', 'side of an image', wholeNumber(16), 64)
    .option('--seed <n>', 'another seed gives other images', wholeNumber(0), 0)
    .option('--json', 'print the result as JSON')
    .action(async (flags: { out: string; count: number; size: number; seed: number; json?: boolean }) => {
      const { writeSampleData } = await import('../source/sample-data/write.ts')
      const onProgress = (done: number, count: number) => progress(`writing images ${done}/${count}`)
      const { dir, count, classes } = await writeSampleData({ ...flags, dir: flags.out, onProgress })
      endProgress()
      if (flags.json) printJson({ dir: resolve(dir), count, classes })
      else print(`${count} images in ${classes.length} classes: ${resolve(dir)}`)
    })
}
