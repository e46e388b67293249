/** What the hub refuses, in words, with what to do: which of account, licence, name, revision, file or link it is. */
import { brief, SherdError } from '../errors.ts'
import type { HubSettings } from './settings.ts'

/** What a request is for. */
export interface Purpose {
  /** `owner/name` */
  readonly repo: string
  readonly revision?: string
  /** The file that is wanted. */
  readonly file?: string
}

/** A repository that is not there, or that the account does not see. */
export class NotThere extends SherdError {}

/** Links of the storage behind the hub are signed for a while. */
export class ExpiredLink extends SherdError {}

/** Where the hub is asked how large files may be uploaded. */
export const isLargeUpload = (url: string): boolean => /\/info\/lfs\/objects\/batch$/.test(url)

/** Where LFS is not taken. */
export const noLfs = ({ repo }: Purpose, why: string): SherdError =>
  new SherdError(
    'HUB',
    `The hub takes no large files of ${repo} by Git LFS (${why}), and sherd does not speak Xet. Nothing was committed: upload the folder with Python's "hf upload ${repo} FOLDER".`,
  )

/** For an answer of 3xx or 4xx. The hub says in a header what kind it is. */
export async function refusal(
  response: Response,
  { endpoint, token }: HubSettings,
  { repo, revision, file }: Purpose,
): Promise<SherdError> {
  await response.body?.cancel().catch(() => {})
  const { status, headers } = response
  const kind = headers.get('x-error-code')
  const said = brief(headers.get('x-error-message') ?? '')
  const page = `${endpoint}/${repo}`
  const hub = (message: string) => new SherdError('HUB', message)
  const { origin, host } = new URL(response.url || page)
  if (origin !== new URL(endpoint).origin)
    return new ExpiredLink(
      'HUB',
      `${host}, where ${file ?? 'a file'} of ${repo} is stored, refuses the link that the hub gave (${status}), each time: such links are valid for a while, so look whether the clock of this machine is right, and start again: what has come is kept.`,
    )
  const how = `make a token with the right to read at ${endpoint}/settings/tokens and give it as HF_TOKEN`
  if (kind === 'GatedRepo')
    return hub(
      token
        ? `${repo} is gated, and the account of ${token.from} has no access yet (${status}): ask for it at ${page}, and give a token that may read gated repositories.`
        : `${repo} is gated: its authors ask who takes it, and for what. Accept their terms at ${page}, ${how}.`,
    )
  if (status === 401 && token)
    return hub(
      `The hub does not accept the token of ${token.from} (401${said ? `: ${said}` : ''}): it has ended or is mistyped. ${how.replace('make', 'Make')}; without one what is public can be read.`,
    )
  if (kind === 'RevisionNotFound')
    return hub(`${repo} has no revision "${revision}" (404): its branches and tags are at ${page}/tree/main.`)
  if (kind === 'EntryNotFound')
    return hub(
      `${repo} has no file or folder ${file ?? ''} at ${revision} (404): see ${page}/tree/${revision}.`,
    )
  if (kind === 'RepoNotFound' || status === 401 || status === 404)
    return new NotThere(
      'HUB',
      `There is no model ${repo} at ${endpoint} that ${token ? `the account of ${token.from}` : 'everyone'} may read (${status}): look at the spelling${token ? '' : `; if it is private, ${how}`}.`,
    )
  if (isLargeUpload(response.url) && status !== 401 && status !== 403)
    return noLfs({ repo }, `${status}${said ? `: ${said}` : ''}`)
  if (status === 409 || status === 412)
    return hub(
      `${repo} has changed meanwhile (${status}${said ? `: ${said}` : ''}): start again, and what would be done now is shown.`,
    )
  if (status === 403)
    return hub(
      `The hub forbids ${file ?? repo} (403${said ? `: ${said}` : ''}): ${token ? `look at ${page} what the account of ${token.from} may do` : how}.`,
    )
  return hub(
    `The hub answers ${status}${said ? ` (${said})` : ''} for ${file ?? repo} of ${repo}: see ${page}.`,
  )
}
