/**
 * The ten classes of the sample images. An image is a pure function of the seed, its class and its index in the class; its
 * size only changes the resolution of the same scene.
 */
import { draws } from '../random/draws.ts'
import { branches } from './branches.ts'
import { bricks } from './bricks.ts'
import { clouds } from './clouds.ts'
import { coats } from './coats.ts'
import { discs, shards } from './dead-leaves.ts'
import { develop } from './develop.ts'
import { mountains } from './mountains.ts'
import { pebbles } from './pebbles.ts'
import { drawSetting, type Scene } from './setting.ts'
import { spheres } from './spheres.ts'
import { wood } from './wood.ts'

export const scenes = {
  branches,
  bricks,
  clouds,
  coats,
  discs,
  mountains,
  pebbles,
  shards,
  spheres,
  wood,
} satisfies Record<string, Scene>

export type SceneName = keyof typeof scenes

/** The classes, in the order of their labels. */
export const sceneNames = Object.keys(scenes) as SceneName[]

/** Image `index` of a class: size² pixels of interleaved 8-bit sRGB. */
export function paintScene({
  scene,
  seed,
  index,
  size,
}: {
  scene: SceneName
  seed: number
  index: number
  size: number
}): Uint8Array {
  const drawn = draws({ seed, stream: `sample-data/${scene}`, epoch: 0, index })
  const setting = drawSetting(drawn, size)
  const shade = scenes[scene](drawn, setting)
  return develop(drawn, { shade, film: setting.film, size })
}
