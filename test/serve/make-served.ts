// A tiny model of random weights, exported as every graph that is served, and a server of it.
import { join } from 'node:path'
import { exportOnnx, type OpenedModel } from '../../src/export/export-onnx.ts'
import type { GraphName } from '../../src/export/formats.ts'
import { openModel } from '../../src/export/model-parts.ts'
import { initialParameters } from '../../src/model/parameters.ts'
import { type ServeOptions, type Server, serve } from '../../src/serve/serve.ts'
import { segmentationShape, segmenterRows } from '../../src/weights/frozen-segmenter.ts'
import { afterFile } from '../after-file.ts'
import { tinyConfig, workFolder } from '../run/tiny.ts'

export const classes = ['red', 'green', 'blue']

/** 16 × 16 pixels, patches of 4, with heads of three classes. */
export async function tinyModel(over: Parameters<typeof tinyConfig>[0] = {}): Promise<OpenedModel> {
  const config = tinyConfig({ train: { precision: 'fp32' }, ...over })
  const model = await openModel({ model: 'random', config, device: 'cpu', seed: 3 }, ['autoencoder'])
  const shape = segmentationShape(model, { classes: 3, ignored: -1 })
  const rows = [
    { name: 'head.weight', shape: [3, 32], initial: 'token' as const },
    { name: 'head.bias', shape: [3], initial: 'zeros' as const },
    ...segmenterRows('linear', shape),
  ]
  const parameters = new Map([...model.parameters, ...initialParameters(rows, { seed: 4, device: 'cpu' })])
  return {
    ...{ ...model, parameters },
    classifier: { head: 'normed-mean', classes },
    segmenter: { head: 'linear', classes, numbers: [0, 1, 2], ignored: -1 },
  }
}

/** Writes the graphs to a new folder. */
export async function exportTiny(
  model: OpenedModel,
  graphs: readonly GraphName[] = ['encoder', 'autoencoder', 'classifier', 'segmenter'],
  more: { readonly attention?: boolean } = {},
): Promise<string> {
  const out = join(await workFolder(), 'exported')
  for await (const _ of exportOnnx({ model, out, graphs, precisions: ['fp32'], ...more }));
  return out
}

/** A server on a free port, stopped after the tests of the file. */
export async function startServer(options: ServeOptions): Promise<Server> {
  const server = await serve({ port: 0, threads: 1, ...options })
  afterFile(() => server.stop())
  return server
}

export const bodyOf = (bytes: Uint8Array, type = 'image/jpeg'): RequestInit => ({
  ...{ method: 'POST', headers: { 'content-type': type }, body: bytes as Uint8Array<ArrayBuffer> },
})

export function formOf(files: Readonly<Record<string, Uint8Array>>): RequestInit {
  const form = new FormData()
  for (const [name, bytes] of Object.entries(files))
    form.append('file', new Blob([bytes as Uint8Array<ArrayBuffer>]), name)
  return { method: 'POST', body: form }
}
