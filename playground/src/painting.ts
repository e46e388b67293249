/** The mask by hand: pointers and keys on the canvas, as changes of what is hidden. */
import type { Grid } from '../../src/token/grid.ts'
import { patchByKey } from './patch-keys.ts'
import { patchAt, patchesBetween } from './stroke.ts'

export interface Painting {
  /** The patch that the keys are at; null while the canvas has no focus by keyboard. */
  cursor(): number | null
}

export interface PaintingOptions {
  readonly canvas: HTMLCanvasElement
  /** Null: there is nothing to paint on. */
  readonly grid: () => Grid | null
  /** Height of the picture as a share of the canvas, which has a line of text below. */
  readonly share: () => number
  readonly isHidden: (patch: number) => boolean
  /** Hides patches, or shows them. `done`: the stroke has ended, and is one step to undo. */
  readonly paint: (patches: readonly number[], hide: boolean, done: boolean) => void
  /** The cursor moved. */
  readonly moved: () => void
  /** Says where the cursor is. */
  readonly say: (text: string) => void
  readonly undo: () => void
  readonly redo: () => void
}

export function listenToPainting(options: PaintingOptions): Painting {
  const { canvas } = options
  let cursor = 0
  let byKeys = false
  canvas.tabIndex = 0
  canvas.setAttribute('role', 'application') // arrow keys and the space bar are for the canvas
  canvas.setAttribute('aria-roledescription', 'grid of patches')
  canvas.setAttribute('aria-describedby', 'masked-keys')
  let stroke: { readonly pointer: number; readonly hide: boolean; last: number } | null = null

  const patchOf = (grid: Grid, event: PointerEvent) => {
    const box = canvas.getBoundingClientRect()
    return patchAt(
      grid,
      (event.clientX - box.left) / box.width,
      (event.clientY - box.top) / (box.height * options.share()),
    )
  }

  canvas.addEventListener('pointerdown', (event) => {
    const grid = options.grid()
    if (!grid || stroke || event.button !== 0) return
    const last = patchOf(grid, event)
    stroke = { pointer: event.pointerId, hide: !options.isHidden(last), last }
    canvas.setPointerCapture(event.pointerId)
    cursor = last
    byKeys = false
    options.paint([last], stroke.hide, false)
  })
  canvas.addEventListener('pointermove', (event) => {
    const grid = options.grid()
    if (!grid || stroke?.pointer !== event.pointerId) return
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const patch = patchOf(grid, each)
      if (patch === stroke.last) continue
      options.paint(patchesBetween(grid, stroke.last, patch), stroke.hide, false)
      stroke.last = patch
    }
  })
  const end = (event: PointerEvent) => {
    if (stroke?.pointer !== event.pointerId) return
    const { hide } = stroke
    stroke = null
    options.paint([], hide, true)
  }
  canvas.addEventListener('pointerup', end)
  canvas.addEventListener('pointercancel', end)

  const describe = (grid: Grid, patch: number) =>
    `row ${Math.floor(patch / grid.w) + 1}, column ${(patch % grid.w) + 1}: ${options.isHidden(patch) ? 'hidden' : 'seen'}`

  canvas.addEventListener('keydown', (event) => {
    const grid = options.grid()
    if (!grid || event.altKey) return
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase()
      if (key !== 'z' && key !== 'y') return
      event.preventDefault()
      if (key === 'y' || event.shiftKey) options.redo()
      else options.undo()
      return
    }
    const from = Math.min(cursor, grid.h * grid.w - 1)
    const to = patchByKey(event.key, grid, from)
    const turns = event.key === ' ' || event.key === 'Enter'
    if (to === null && !turns) return
    event.preventDefault()
    byKeys = true
    if (to !== null) {
      cursor = to
      // With Shift the mask at the old place is carried on.
      if (event.shiftKey) options.paint(patchesBetween(grid, from, cursor), options.isHidden(from), true)
    } else options.paint([from], !options.isHidden(from), true)
    options.moved()
    options.say(describe(grid, cursor))
  })
  canvas.addEventListener('focus', () => {
    byKeys = canvas.matches(':focus-visible')
    options.moved()
  })
  canvas.addEventListener('blur', () => options.moved())

  return {
    cursor: () => (byKeys && document.activeElement === canvas ? cursor : null),
  }
}
