/** `sherd export timm`: a folder that timm loads. */
import type { Command } from 'commander'
import { addFolderOptions, type FolderFlags, requestOf, tellExported } from './export-folder.ts'

export function addExportTimm(parent: Command): void {
  addFolderOptions(parent.command('timm').description('write a folder for timm')).action(
    async (flags: FolderFlags) => {
      const { exportTimm } = await import('../../export/export-timm.ts')
      const request = await requestOf(flags)
      tellExported(exportTimm({ ...request, out: flags.out }), flags)
    },
  )
}
