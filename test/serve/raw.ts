// Connections on which bytes are sent as they are: clients of HTTP hide what these tests are about.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

export interface Line {
  readonly socket: Socket
  /** Everything that has come, one character a byte. */
  received(): string
  /** Settles when the connection has ended, with all that came. */
  readonly ended: Promise<string>
}

/** A connection; it is read unless `isRead` is false. */
export async function dial(port: number, { isRead = true } = {}): Promise<Line> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.on('error', () => {})
  if (isRead)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
  socket.on('end', () => socket.end())
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(text)))
  await once(socket, 'connect')
  return { socket, received: () => text, ended }
}

export const get = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`

/** The head of a POST of `length` bytes. */
export const postHead = (length: number, path = '/v1/embed', more = ''): string =>
  `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\ncontent-length: ${length}\r\n${more}\r\n`

export const post = (body: Uint8Array, path?: string): Buffer =>
  Buffer.concat([Buffer.from(postHead(body.length, path)), body])

/** The statuses of the answers in what came. */
export const statusesIn = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

/** Waits until `holds`; the test's own limit of time ends what never does. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setImmediate()
}

/** A number of `GET /metrics`. */
export async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(text.match(new RegExp(`^${name.replaceAll(/[{}"]/g, '\\$&')} (\\S+)$`, 'm'))?.[1])
}
