/** The choice of a patch: by a click or a touch, by keys, or for a moment below the pointer. */
import type { Grid } from '../../src/token/grid.ts'
import { patchByKey } from './patch-keys.ts'
import { patchAt } from './stroke.ts'

export interface ChoosingOptions {
  readonly canvas: HTMLCanvasElement
  /** Null: there is nothing to choose. */
  readonly grid: () => Grid | null
  readonly chosen: () => number
  /** `byKeys`: it is to be said. */
  readonly choose: (patch: number, byKeys: boolean) => void
  /** Null: no patch is pointed at any more. */
  readonly point: (patch: number | null) => void
}

export function listenToChoosing({ canvas, grid, chosen, choose, point }: ChoosingOptions): void {
  canvas.tabIndex = 0
  canvas.setAttribute('role', 'application') // arrow keys are for the canvas
  canvas.setAttribute('aria-roledescription', 'grid of patches')
  canvas.setAttribute('aria-describedby', 'like-keys')
  const patchOf = (own: Grid, event: MouseEvent) => {
    const box = canvas.getBoundingClientRect()
    return patchAt(own, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height)
  }
  canvas.addEventListener('click', (event) => {
    const own = grid()
    if (own) choose(patchOf(own, event), false)
  })
  canvas.addEventListener('pointermove', (event) => {
    const own = grid()
    if (own && event.pointerType === 'mouse') point(patchOf(own, event))
  })
  canvas.addEventListener('pointerleave', () => point(null))
  canvas.addEventListener('keydown', (event) => {
    const own = grid()
    if (!own || event.altKey || event.ctrlKey || event.metaKey) return
    const patch = patchByKey(event.key, own, chosen())
    if (patch === null) return
    event.preventDefault()
    choose(patch, true)
  })
}
