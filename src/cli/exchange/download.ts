/** `sherd download`: a model of the Hugging Face hub into the cache, for machines that have no network later. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { print, printJson } from '../output.ts'
import { stopSignal } from '../signals.ts'

interface Flags {
  readonly refresh?: boolean
  readonly json?: boolean
}

export function addDownload(root: Command): void {
  describeCommand(root.command('download'), {
    group: 'Exchange models',
    page: 'hub.md',
    examples: [
      'sherd download hf:me/photos  # every command takes it by this name, without a network from now on',
      'sherd download hf:me/photos --refresh  # is there a newer one? is what is there whole?',
    ],
  })
    .description('download a model of the Hugging Face hub into the cache')
    .argument('<model>', 'hf:owner/name, behind it @revision and /folder or /file where they are needed')
    .option('--refresh', 'look the revision up again, and compare what is there with its checksums')
    .option('--json', 'print the result as JSON')
    .action(async (model: string, { refresh, json }: Flags) => {
      stopSignal('stopping')
      const { fetchModel } = await import('../../hub/locate.ts')
      const { path, hub } = await fetchModel(model, { refresh })
      if (json) printJson({ kind: 'download', model: hub, path })
      else print(`${hub}: ${path}`)
    })
}
