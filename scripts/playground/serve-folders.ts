/** A static web server, as small as one can be: files of some folders, for the playground's tests and pictures. */
import { createReadStream, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.onnx': 'application/octet-stream',
}

export interface FolderServer {
  /** Such as `http://127.0.0.1:40123/`. */
  readonly url: string
  close(): void
}

/** Serves each folder under its path (`/` or `/models/`). Without the headers that threads need: `sherd serve` has them. */
export async function serveFolders(folders: Readonly<Record<string, string>>): Promise<FolderServer> {
  const mounts = Object.keys(folders).sort((a, b) => b.length - a.length)
  const server: Server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname))
    const mount = mounts.find((each) => path.startsWith(each))
    const file = mount && join(folders[mount]!, path.slice(mount.length) || 'index.html')
    const found = file ? statSync(file, { throwIfNoEntry: false }) : undefined
    if (!file || !found?.isFile()) return void response.writeHead(404).end()
    response.writeHead(200, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Content-Length': found.size,
    })
    createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
