/** `sherd export timm`: a folder that timm loads. */
import type { Command } from 'commander'
import { pause } from '../../errors.ts'
import { describeCommand } from '../help.ts'
import { addFolderOptions, exportFolder, type FolderFlags } from './export-folder.ts'

export function addExportTimm(parent: Command): void {
  addFolderOptions(
    describeCommand(parent.command('timm'), {
      page: 'import.md#export',
      examples: ['sherd export timm --run runs/photos --out folder  # its encoder, for timm'],
    }).description('write a folder for timm'),
  ).action(async (flags: FolderFlags) => {
    const { exportTimm } = await import('../../export/export-timm.ts')
    await exportFolder('export timm', flags, {
      options: {},
      write: async (request, out, { signal, onPhase }) => {
        onPhase?.('reading and writing the weights')
        await pause(signal, { done: 0, of: 1, unit: 'folders', continues: false })
        return exportTimm({ ...request, out })
      },
    })
  })
}
