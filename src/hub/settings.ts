/** Where the hub and its cache are: the variables that Python's huggingface_hub reads. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export interface HubSettings {
  /** The folder of the cache. */
  readonly cache: string
  /** Without a slash at the end. */
  readonly endpoint: string
  readonly token: { readonly value: string; readonly from: string } | null
  readonly offline: boolean
  /** A connection that is silent for so many ms is given up. */
  readonly timeout: number
}

type Environment = Readonly<Record<string, string | undefined>>

const isTrue = (text: string | undefined) => /^(?:1|on|yes|true)$/i.test(text ?? '')
const expanded = (path: string, home: string) => resolve(path.replace(/^~(?=\/|$)/, home))

function tokenIn(env: Environment, file: string): HubSettings['token'] {
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const value = env[name]?.trim()
    if (value) return { value, from: name }
  }
  try {
    const value = readFileSync(file, 'utf8').trim()
    return value === '' ? null : { value, from: file }
  } catch {
    return null
  }
}

const SILENCE = 30 // s

export function hubSettings(env: Environment = process.env): HubSettings {
  const home = env.HOME || homedir()
  const own = env.HF_HOME || join(env.XDG_CACHE_HOME || join(home, '.cache'), 'huggingface')
  const seconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT)
  return {
    cache: expanded(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(own, 'hub'), home),
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    token: tokenIn(env, expanded(env.HF_TOKEN_PATH || join(own, 'token'), home)),
    offline: isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    timeout: 1000 * (seconds > 0 ? seconds : SILENCE),
  }
}
