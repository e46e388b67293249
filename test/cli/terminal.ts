// Standard output and error as a terminal of some width, or as files.

export interface Written {
  readonly stdout: string
  readonly stderr: string
}

const streams = ['stdout', 'stderr'] as const
const keys = ['write', 'isTTY', 'columns'] as const

/** Takes what is written to both streams, which are a terminal with so many columns, or files when it is null. Returns what undoes it. */
export function takeStreams(
  columns: number | null,
  onWrite: (name: (typeof streams)[number], text: string) => void,
): () => void {
  const kept = { ...process.env }
  if (columns !== null) {
    for (const name of ['CI', 'NO_COLOR', 'FORCE_COLOR', 'TERM'] as const) delete process.env[name]
    process.env.LANG = 'C.UTF-8'
  }
  const restore = streams.map((name) => {
    const stream = process[name]
    const before = keys.map((key) => [key, Object.getOwnPropertyDescriptor(stream, key)] as const)
    const set = (key: string, value: unknown) =>
      Object.defineProperty(stream, key, { value, configurable: true, writable: true })
    set('write', (chunk: Uint8Array | string) => {
      onWrite(name, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())
      return true
    })
    set('isTTY', columns !== null)
    set('columns', columns ?? undefined)
    return () => {
      for (const [key, descriptor] of before)
        if (descriptor) Object.defineProperty(stream, key, descriptor)
        else delete (stream as unknown as Record<string, unknown>)[key]
    }
  })
  return () => {
    for (const each of restore) each()
    process.env = kept
  }
}

/** Runs `body` with the streams taken, and returns what it wrote. */
export async function written(
  { columns }: { readonly columns: number | null },
  body: () => unknown,
): Promise<Written> {
  const text = { stdout: '', stderr: '' }
  const restore = takeStreams(columns, (name, chunk) => {
    text[name] += chunk
  })
  try {
    await body()
  } finally {
    restore()
  }
  return text
}
