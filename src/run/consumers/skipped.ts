/** `skipped.jsonl`: the files that could not be used, each once however often the run is resumed. */
import type { SkippedFile } from '../../prepare/skipped.ts'
import { appendSkipped, readSkipped } from '../journal.ts'
import type { Run } from '../run.ts'
import type { Consumer } from './consumer.ts'

export interface SkippedConsumer extends Consumer {
  /** Called by the loader as it finds them, which is ahead of the steps. */
  readonly onSkip: (file: SkippedFile) => void
}

export function listSkipped({ paths }: Run): SkippedConsumer {
  const listed = new Set(readSkipped(paths.skipped).map(({ file }) => file))
  const news: SkippedFile[] = []
  return {
    onSkip(file) {
      if (listed.has(file.file)) return
      listed.add(file.file)
      news.push(file)
      appendSkipped(paths.skipped, file)
    },
    on: () => news.splice(0).map((file) => ({ kind: 'skip', ...file })),
    summary: () => ({ skipped: listed.size }),
  }
}
