/**
 * The decoding thread. The main thread is inside LibTorch for whole steps at a time, so decoding must not need it: this
 * thread's own event loop keeps libvips busy, and only credits (buffers to fill) and finished batches cross over.
 */
import { parentPort } from 'node:worker_threads'
import { invariant, messageOf, SherdError } from '../../errors.ts'
import { isStuck } from '../decode/deadline.ts'
import { configureDecoder } from '../decode/decode.ts'
import { openReader } from '../open-reader.ts'
import { sampleReader, viewsOfSamples } from '../sample-reader.ts'
import { skipLedger } from '../skipped.ts'
import { fieldsOfViews } from '../view-spec.ts'
import { batchFiller } from './batch-filler.ts'
import type { DecodeJob, FromIdle, FromWorker, ToWorker } from './decode-messages.ts'
import { counted } from './ending.ts'
import { sampleOrder } from './sample-order.ts'

invariant(parentPort, 'decode-worker.ts was started as a program and not as a worker thread')
const port = parentPort
const send = (message: FromWorker | FromIdle) => port.postMessage(message)

/** What the job needs of messages. */
interface Current {
  free(buffer: number): void
  stop(): Promise<void>
}
let current: Current | null = null

function begin(job: DecodeJob): Current {
  configureDecoder()
  const { source, settings, buffers, batchSize, firstPosition } = job
  const { files } = source
  const reader = openReader(source, job.decodeThreads)
  const limit = { files: files.length, maxShare: job.maxSkippedShare, corrupt: settings.corrupt }
  const ledger = skipLedger(limit, (skipped) => send({ kind: 'skip', skipped }))
  const filler = batchFiller({
    read: counted(sampleReader({ reader, files }, settings, ledger), job.ending),
    order: sampleOrder({
      ...{ size: files.length, seed: settings.seed, shuffle: job.shuffle, reader: job.reader },
    }),
    firstPosition,
    batchSize,
    specs: fieldsOfViews(viewsOfSamples(settings), settings),
    together: reader.together,
    atOnce: reader.atOnce,
    buffers,
    onBatch: (batch) => send({ kind: 'batch', batch }),
    onFailure: (error) => {
      const code = error instanceof SherdError ? error.code : 'BUG'
      send({ kind: 'failure', code, message: messageOf(error) })
    },
  })
  return {
    free: filler.free,
    async stop() {
      await filler.stop()
      reader.close()
    },
  }
}

async function stop(): Promise<void> {
  await current?.stop()
  current = null
  if (isStuck()) port.close()
  else send({ kind: 'idle' })
}

port.on('message', (message: ToWorker) => {
  if (message.kind === 'begin') current = begin(message.job)
  else if (message.kind === 'free') current?.free(message.buffer)
  else if (message.kind === 'stop') void stop()
  // With the port closed nothing keeps this thread alive, and it ends by itself.
  else port.close()
})
