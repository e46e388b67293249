// Standard output and error as a terminal of some width, or as files.

export interface Written {
  readonly stdout: string
  readonly stderr: string
}

/** Runs `body` while both streams are a terminal with so many columns, or files when it is null, and returns what it wrote. */
export async function written(
  { columns }: { readonly columns: number | null },
  body: () => unknown,
): Promise<Written> {
  const text = { stdout: '', stderr: '' }
  const kept = { ...process.env }
  for (const name of ['CI', 'NO_COLOR', 'FORCE_COLOR', 'TERM'] as const) delete process.env[name]
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name]
    const before = (['write', 'isTTY', 'columns'] as const).map(
      (key) => [key, Object.getOwnPropertyDescriptor(stream, key)] as const,
    )
    const set = (key: string, value: unknown) =>
      Object.defineProperty(stream, key, { value, configurable: true, writable: true })
    set('write', (chunk: Uint8Array | string) => {
      text[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()
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
  try {
    await body()
  } finally {
    for (const each of restore) each()
    process.env = kept
  }
  return text
}
