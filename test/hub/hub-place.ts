/** A cache of its own for a test, in front of a server: the environment names them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, vi } from 'vitest'
import { type HubListener, listenToHub } from '../../src/hub/listener.ts'
import { pausing } from '../../src/hub/requests.ts'

export interface HubPlace {
  readonly home: string
  /** The cache. */
  readonly cache: string
  readonly notes: string[]
  readonly warnings: string[]
  /** Of pauses, in ms: nothing waits. */
  readonly pauses: number[]
}

const names = [
  ...[
    'HF_HOME',
    'HF_HUB_CACHE',
    'HUGGINGFACE_HUB_CACHE',
    'HF_ENDPOINT',
    'HF_TOKEN',
    'HF_TOKEN_PATH',
    'HUGGING_FACE_HUB_TOKEN',
  ],
  ...['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE', 'HF_HUB_DOWNLOAD_TIMEOUT', 'XDG_CACHE_HOME'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'],
]

/** For each test of the file. */
export function useHubPlace(endpoint: () => string, more: Partial<HubListener> = {}): HubPlace {
  const place = {
    home: '',
    cache: '',
    notes: [] as string[],
    warnings: [] as string[],
    pauses: [] as number[],
  }
  const { sleep } = pausing
  beforeEach(() => {
    place.home = mkdtempSync(join(tmpdir(), 'sherd-hub-'))
    place.cache = join(place.home, 'hub')
    for (const list of [place.notes, place.warnings, place.pauses]) list.length = 0
    for (const name of names) vi.stubEnv(name, '')
    vi.stubEnv('HF_HOME', place.home)
    vi.stubEnv('HF_ENDPOINT', endpoint())
    pausing.sleep = async (ms) => {
      place.pauses.push(ms)
      await new Promise((resolve) => setImmediate(resolve))
    }
    listenToHub({
      ...{ note: (line) => place.notes.push(line), warn: (line) => place.warnings.push(line), progress() {} },
      ...more,
    })
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    pausing.sleep = sleep
    rmSync(place.home, { recursive: true, force: true })
  })
  return place
}
