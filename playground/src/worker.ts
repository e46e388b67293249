/** Everything that takes time: loading and running models, decoding, generated images. */
import { messageOf, SherdError } from '../../src/errors.ts'
import { coloursOf } from '../../src/look/compare.ts'
import { paintScene, type SceneName } from '../../src/sample-data/scenes.ts'
import { decodeImage } from './decode.ts'
import { checkBytes, fetchModels, type LoadProgress, type ModelFile } from './fetch-model.ts'
import { factsOfFile, type GraphKind, isSameModel, type ModelFacts } from './model-facts.ts'
import { samplePixels, toPlanes } from './prepare-pixels.ts'
import type { Answered, Asked, Kind, OpenedModel, Requests } from './protocol.ts'
import { type Graph, openGraph, startRuntime } from './runtime.ts'

const threads = startRuntime()
let open: Partial<Record<GraphKind, { readonly graph: Graph; readonly facts: ModelFacts }>> = {}

const SAMPLE_SEED = 7 // `sherd sample-data` has 0: a model that was trained on it has not seen these

type Work = {
  [K in Kind]: (
    ask: Requests[K]['ask'],
    onProgress: (progress: LoadProgress) => void,
  ) => Promise<Requests[K]['give']> | Requests[K]['give']
}

const work: Work = {
  async open({ sources = [], files = [] }, onProgress) {
    const loaded: ModelFile[] = []
    for (const file of files) {
      checkBytes(file.name, file.size)
      loaded.push({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })
    }
    loaded.push(...(await fetchModels(sources, onProgress)))
    return openModels(loaded)
  },
  async prepare({ image, name, target, channels, preparing }) {
    const decoded = await decodeImage(name, image)
    const { width, height } = decoded
    return { bytes: samplePixels(decoded, target, channels, preparing), original: { width, height } }
  },
  sample: ({ scene, side, index }) =>
    paintScene({ scene: scene as SceneName, seed: SAMPLE_SEED, index, size: side }),
  async rebuild({ bytes, kept, hidden }) {
    const { graph, facts } = opened('autoencoder')
    const pixels = pixelsOf(bytes, facts)
    const begin = performance.now()
    const { prediction } = await graph.run(
      {
        pixels,
        kept: { values: kept, shape: [1, kept.length] },
        hidden: { values: hidden, shape: [1, hidden.length] },
      },
      ['prediction'],
    )
    return { prediction: prediction!.values, milliseconds: performance.now() - begin }
  },
  async see({ bytes, attention }) {
    const { graph, facts } = opened('encoder')
    const maps = facts.attending && attention
    const wanted = [
      'patches',
      ...(maps ? ['attention', ...(facts.hasPooling ? ['poolingAttention'] : [])] : []),
    ]
    const made = await graph.run({ pixels: pixelsOf(bytes, facts) }, wanted)
    const { values: features, shape } = made.patches!
    const { values, shape: [, blocks, heads] = [] } = made.attention ?? {}
    return {
      ...{ features, width: shape.at(-1)! },
      attention: values
        ? { values, blocks: blocks!, heads: heads!, pooling: made.poolingAttention?.values ?? null }
        : null,
    }
  },
  colour({ features, width }) {
    const all = new Float32Array(features.reduce((sum, each) => sum + each.length, 0))
    let at = 0
    for (const each of features) {
      all.set(each, at)
      at += each.length
    }
    return coloursOf(
      all,
      width,
      features.map((each) => each.length / width),
    )
  },
}

const pixelsOf = (bytes: Uint8Array, { channels, size }: ModelFacts) => ({
  values: toPlanes(bytes, channels),
  shape: [1, channels, size.height, size.width],
})

function opened(kind: GraphKind) {
  const model = open[kind]
  if (!model) throw new SherdError('BUG', `Bug: no ${kind} is open.`)
  return model
}

/** Opens what can be opened. Throws the first reason when nothing can. */
async function openModels(files: readonly ModelFile[]): Promise<Requests['open']['give']> {
  const made: typeof open = {}
  const models: Partial<Record<GraphKind, OpenedModel>> = {}
  const refused: string[] = []
  let first: unknown
  for (const { name, bytes, size } of files) {
    try {
      const facts = factsOfFile(name, bytes, size)
      const other = Object.values(made)[0]
      if (made[facts.kind])
        throw new SherdError('VALUE', `${name} is a second ${facts.kind}: one is enough, and it was left.`)
      if (other && !isSameModel(other.facts, facts))
        throw new SherdError(
          'VALUE',
          `${name} is of another model than ${other.facts.kind}.onnx, and was left.`,
        )
      made[facts.kind] = { facts, graph: await openGraph(name, bytes) }
      models[facts.kind] = { file: name, bytes: bytes.length, facts }
    } catch (error) {
      first ??= error
      refused.push(messageOf(error))
    }
  }
  if (first && Object.keys(made).length === 0) throw first
  const before = open
  open = made
  for (const model of Object.values(before)) await model.graph.close()
  return { models, refused, threads }
}

addEventListener('message', async ({ data }: MessageEvent<Asked>) => {
  const { id, kind, ask } = data
  const answer = (message: Answered) => postMessage(message)
  try {
    const run = work[kind] as (ask: unknown, onProgress: (progress: LoadProgress) => void) => unknown
    answer({ id, give: await run(ask, (progress) => answer({ id, progress })) })
  } catch (error) {
    const code = error instanceof SherdError ? error.code : 'BUG'
    answer({ id, error: { code, message: messageOf(error) } })
  }
})
