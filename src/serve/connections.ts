/**
 * The connections of a server. Each answers one request at a time, so that what a request holds (a file, memory, a place in a queue) is
 * released when its connection ends: Node reports that only for the response being sent. They are closed in an order that loses no answer.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'

/** Pipelined requests per connection; a client that sends more is disconnected. */
const MOST_WAITING = 32

/** How long an open connection is still answered while the server stops, since its client may just be sending the next request. */
const LINGER_MS = 250

interface Line {
  current: ServerResponse
  readonly waiting: (readonly [IncomingMessage, ServerResponse])[]
}

export interface Connections {
  /** Wraps a handler so that each connection runs one request at a time. */
  inTurn(handle: RequestListener): RequestListener
  /** Must be called with every socket. */
  add(socket: Socket): void
  /** Whether an answer has begun, so that no other one can be written. */
  isAnswering(socket: Socket): boolean
  /** Settles when no request is open and none has arrived on the open connections for a while. */
  settle(): Promise<void>
  /** Closes idle connections now, the others after their answer. */
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
      // Requests that the kernel has already received are read within the next turns of the event loop.
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
