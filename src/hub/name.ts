/** Names of models on the Hugging Face hub: `hf:owner/name[@revision][/folder or file]`. */
import { SherdError } from '../errors.ts'

export interface HubName {
  /** `owner/name` */
  readonly repo: string
  /** A branch, a tag or a commit. */
  readonly revision: string
  /** A folder or a file of weights in it; '' for all of it. */
  readonly path: string
}

export const isHubName = (model: string): boolean => /^hf:/i.test(model)

const part = '[A-Za-z0-9](?:[\\w.-]{0,94}[A-Za-z0-9_])?'
/** `refs/pr/4` is one revision; other slashes of branches are written %2F, as in Python's `hf://`. */
const shape = new RegExp(
  `^hf:(?://)?(?<repo>${part}/${part})(?:@(?<revision>refs/(?:pr|convert)/[^/@]+|[^/@]+))?(?:/(?<path>.*))?$`,
  'i',
)

/** For a path that is not there, and looks like a model of the hub. */
export function hubAdvice(model: string): string {
  const [, name] =
    /^(?:https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\/)?([\w-][\w.-]*\/[\w-][\w.-]*)\/?$/.exec(model) ??
    []
  return name === undefined ? '' : ` If the Hugging Face hub's model is meant: hf:${name}.`
}

export const COMMIT = /^[0-9a-f]{40}$/

/** Whether a path of the hub, or a revision, stays below the folder that it is joined to. */
export const staysInside = (path: string): boolean =>
  path.length <= 1000 &&
  !/[\\\p{Cc}:]/u.test(path) &&
  path.split('/').every((step) => step !== '' && step !== '.' && step !== '..')

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/** Throws `USAGE`. */
export function parseHubName(model: string): HubName {
  const { repo, revision = 'main', path = '' } = shape.exec(model)?.groups ?? {}
  const name = {
    ...{ repo: repo ?? '', revision: decoded(revision), path: path.replace(/\/+$/, '') },
  }
  const isGood =
    repo !== undefined &&
    !/--|\.\.|\.git$/.test(repo) &&
    staysInside(name.revision) &&
    (name.path === '' || staysInside(name.path))
  if (isGood) return name
  throw new SherdError(
    'USAGE',
    `${model} names no model of the Hugging Face hub: expected hf:owner/name, such as hf:facebook/dinov2-small, and behind it @revision and /folder or /file where they are needed.`,
  )
}

/** `owner/name`, as other programs write it, as a name here; null for what is none. */
export function hubNameOf(text: string, revision: string | null = null): string | null {
  if (!new RegExp(`^${part}/${part}$`).test(text)) return null
  const name = `hf:${text}${revision === null ? '' : `@${encodeURIComponent(revision).replaceAll('refs%2Fpr%2F', 'refs/pr/')}`}`
  try {
    parseHubName(name)
    return name
  } catch {
    return null
  }
}

/** As recorded: the same bytes for everyone. */
export const hubText = ({ repo, path }: HubName, commit: string): string =>
  `hf:${repo}@${commit}${path === '' ? '' : `/${path}`}`
