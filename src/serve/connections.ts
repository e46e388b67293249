/**
 * The connections of a server. Of each one request is worked on at a time: what a request holds (a file, memory, a place in a queue)
 * is then surely let go when its connection ends, which Node says only of the response that is being sent. And all are closed
 * in an order that loses no answer.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'

/** Requests that may wait behind another of their connection. Clients hardly pipeline; a client that sends more is cut off. */
const MOST_WAITING = 32

/** Who has just had an answer may be about to ask again: for so long an open connection still gets an answer when the server stops. */
const LINGER_MS = 250

interface Line {
  current: ServerResponse
  readonly waiting: (readonly [IncomingMessage, ServerResponse])[]
}

export interface Connections {
  /** What `handle` does, of each connection one request after the other. */
  inTurn(handle: RequestListener): RequestListener
  /** Has to see every socket. */
  add(socket: Socket): void
  /** Whether an answer has begun, so that nothing else can be written. */
  isAnswering(socket: Socket): boolean
  /** Settles when no request is worked on, and none has come for a while from those who are connected. */
  settle(): Promise<void>
  /** Closes what is idle now, and the rest when it has its answer. */
  closeIdle(): void
  closeAll(): void
  readonly open: number
}

export function connections(): Connections {
  const lines = new Map<Socket, Line>()
  const sockets = new Set<Socket>()
  let onRest: (() => void)[] = []
  let isClosing = false

  const begin = (handle: RequestListener, request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    response.once('close', () => {
      const line = lines.get(socket)!
      const next = socket.destroyed ? undefined : line.waiting.shift()
      if (next) {
        line.current = next[1]
        return begin(handle, ...next)
      }
      lines.delete(socket)
      if (isClosing) socket.destroySoon()
      if (lines.size > 0) return
      for (const rest of onRest) rest()
      onRest = []
    })
    handle(request, response)
  }

  return {
    get open() {
      return sockets.size
    },
    inTurn: (handle) => (request, response) => {
      const { socket } = request
      const line = lines.get(socket)
      if (!line) {
        lines.set(socket, { current: response, waiting: [] })
        return begin(handle, request, response)
      }
      if (line.waiting.length === MOST_WAITING) return void socket.destroy()
      line.waiting.push([request, response])
    },
    add(socket) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    },
    isAnswering: (socket) => lines.get(socket)?.current.headersSent ?? false,
    async settle() {
      const rest = async () => {
        while (lines.size > 0) await new Promise<void>((resolve) => onRest.push(resolve))
      }
      await rest()
      // What the system has received already is read in the next turns; nobody is kept waiting for those who are not there.
      for (let turn = 0; turn < 3; turn++) await setImmediate()
      if (sockets.size > 0) await sleep(LINGER_MS)
      await rest()
    },
    closeIdle() {
      isClosing = true
      for (const socket of sockets) if (!lines.has(socket)) socket.destroySoon()
    },
    closeAll() {
      isClosing = true
      for (const socket of sockets) socket.destroy()
    },
  }
}
