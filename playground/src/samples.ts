/** Pictures to begin with: scenes of `sherd sample-data`, drawn in the browser. */
import type { SceneName } from '../../src/sample-data/scenes.ts'
import type { Engine } from './engine.ts'
import { page } from './page.ts'
import { fromBytes } from './surface.ts'

export const scenes: readonly SceneName[] = ['pebbles', 'mountains', 'spheres', 'branches', 'shards', 'wood']
const THUMBNAIL = 48

/** Makes a button for each. `pick` gets the name of the scene. */
export function showSamples(engine: Engine, pick: (scene: SceneName) => void): void {
  for (const scene of scenes) {
    const button = document.createElement('button')
    const canvas = document.createElement('canvas')
    button.type = 'button'
    button.dataset.scene = scene
    button.setAttribute('aria-label', scene)
    button.setAttribute('aria-pressed', 'false')
    button.append(canvas)
    button.addEventListener('click', () => pick(scene))
    page.samples.append(button)
    void engine.ask('sample', { scene, side: THUMBNAIL, index: 0 }).then((bytes) => {
      const size = { width: THUMBNAIL, height: THUMBNAIL }
      canvas.width = canvas.height = THUMBNAIL
      canvas.getContext('2d')?.drawImage(fromBytes(bytes, { size, channels: 3 }), 0, 0)
    })
  }
}

/** Marks the one that is shown; null when it is a picture of the visitor's. */
export function markSample(shown: string | null): void {
  for (const button of page.samples.querySelectorAll('button'))
    button.setAttribute('aria-pressed', String(button.dataset.scene === shown))
}

export const firstSample: SceneName = scenes[0]!

/** A sample of `side` × `side` pixels as a file, so that it goes the way of all pictures. */
export async function sampleFile(
  engine: Engine,
  { scene, index }: { readonly scene: SceneName; readonly index: number },
  side: number,
): Promise<Blob> {
  const bytes = await engine.ask('sample', { scene, side, index })
  return fromBytes(bytes, { size: { width: side, height: side }, channels: 3 }).convertToBlob()
}
