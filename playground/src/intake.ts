/** Files that come in: chosen, photographed, dropped anywhere on the page, or pasted. */
import { page } from './page.ts'

export interface Intake {
  readonly image: (file: File) => void
  readonly models: (files: readonly File[]) => void
}

const isModel = (file: File) => file.name.toLowerCase().endsWith('.onnx')

export function listenToFiles({ image, models }: Intake): void {
  const take = (files: readonly File[]) => {
    const graphs = files.filter(isModel)
    const other = files.find((file) => !isModel(file))
    if (graphs.length > 0) models(graphs)
    if (other) image(other)
  }
  for (const input of [page.imageFile, page.imageCamera, page.modelFiles])
    input.addEventListener('change', () => {
      take([...(input.files ?? [])])
      input.value = '' // the same file may be chosen again
    })

  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
  addEventListener('dragover', (event) => {
    if (!holdsFiles(event)) return
    event.preventDefault()
    page.drop.hidden = false
  })
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) page.drop.hidden = true
  })
  addEventListener('drop', (event) => {
    page.drop.hidden = true
    if (!holdsFiles(event)) return
    event.preventDefault()
    take([...(event.dataTransfer?.files ?? [])])
  })
  addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])]
    if (files.length === 0) return
    event.preventDefault()
    take(files)
  })
}
