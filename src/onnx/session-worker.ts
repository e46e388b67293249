/** The compute thread: opens a graph, and answers each message with its outputs. */
import { parentPort, workerData } from 'node:worker_threads'
import { invariant, messageOf, SherdError } from '../errors.ts'
import { openSession } from './session.ts'
import type { FromSession, SessionJob, ToSession } from './session-messages.ts'

async function serve({ path, ...options }: SessionJob): Promise<void> {
  invariant(parentPort, 'session-worker.ts was started as a program and not as a worker thread')
  const port = parentPort
  const send = (message: FromSession) => port.postMessage(message)
  const fail = (id: number | null, error: unknown) =>
    send({
      ...{ kind: 'failure', id, message: messageOf(error) },
      code: error instanceof SherdError ? error.code : 'BUG',
    })
  let session: Awaited<ReturnType<typeof openSession>>
  try {
    session = await openSession(path, options)
  } catch (error) {
    return fail(null, error)
  }
  port.on('message', async (message: ToSession) => {
    // The thread ends once the port is closed.
    if (message.kind === 'close') return session.close().finally(() => port.close())
    const { id, inputs, wanted, dropped } = message
    if (Atomics.load(dropped, 0) !== 0) return send({ kind: 'dropped', id })
    try {
      send({ kind: 'outputs', id, outputs: await session.run(inputs, wanted) })
    } catch (error) {
      fail(id, error)
    }
  })
  send({ kind: 'open' })
}

void serve(workerData as SessionJob)
