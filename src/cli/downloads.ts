/** What is downloaded from the Hugging Face hub, as it is shown: wherever a command takes a model. */
import type { Command } from 'commander'
import { listenToHub } from '../hub/listener.ts'
import { isHubName } from '../hub/name.ts'
import { note, warnOnce } from './output.ts'
import { counting } from './progress.ts'
import { currentSignal } from './signals.ts'

const MB = 1e6

export function showDownloads(): void {
  const said = new Set<string>()
  let shown: { readonly what: string; readonly show: ReturnType<typeof counting> } | null = null
  listenToHub({
    // A model that a command opens twice is described once.
    note: (line) => {
      if (!said.has(line)) note(line)
      said.add(line)
    },
    warn: warnOnce,
    progress: (what, done, of) => {
      if (shown?.what !== what) shown = { what, show: counting(what, 'MB') }
      shown.show(done === of ? Math.ceil(of / MB) : done / MB, Math.ceil(of / MB))
    },
    signal: currentSignal,
  })
}

/** Exported graphs are taken by their files: one of the hub is there when the command begins. */
export function fetchGraphs(command: Command): void {
  command.hook('preAction', async () => {
    const { model } = command.opts<{ model?: unknown }>()
    if (typeof model !== 'string' || !isHubName(model) || !/\.onnx$/i.test(model)) return
    const { localModel } = await import('../hub/locate.ts')
    command.setOptionValue('model', (await localModel(model)).path)
  })
}
