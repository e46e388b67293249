/** Writes files to a model of the hub: only what differs, in one commit, onto the commit that was looked at. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SherdError } from '../errors.ts'
import { createModel, listAll, lookUp, upload } from './client.ts'
import { sumOf } from './download.ts'
import { hubListener } from './listener.ts'
import { type HubName, parseHubName } from './name.ts'
import { NotThere } from './refusal.ts'
import { type HubSettings, hubSettings } from './settings.ts'

export interface PushOptions {
  /** `owner/name` */
  readonly to: string
  /** The folder of the files. */
  readonly folder: string
  /** Below it, with slashes. */
  readonly files: readonly string[]
  /** Of a repository that is new; by default as its owner's settings say. */
  readonly isPrivate?: boolean | undefined
  /** Whether files of the same name and other content are replaced. */
  readonly overwrite?: boolean | undefined
  /** The title of the commit. */
  readonly title: string
}

export interface PushPlan {
  readonly repo: string
  /** Of its page. */
  readonly page: string
  /** That is written onto; null for a repository that is not there. */
  readonly parent: string | null
  readonly added: readonly string[]
  readonly replaced: readonly string[]
  /** That are there already. */
  readonly same: readonly string[]
  /** Of others, which stay. */
  readonly kept: readonly string[]
  readonly bytes: number
}

export interface Pushed extends PushPlan {
  /** `hf:owner/name@COMMIT` */
  readonly hub: string
}

function nameOf(to: string): HubName {
  const name = parseHubName(/^hf:/i.test(to) ? to : `hf:${to}`)
  if (name.path === '' && name.revision === 'main') return name
  throw new SherdError('USAGE', `--push ${to}: expected owner/name, without a revision or a path.`)
}

/** Throws `USAGE` for what can be no name, and without a token: before anything is computed. */
export function expectPush(to: string): void {
  expectMayWrite(hubSettings(), nameOf(to).repo)
}

/** What a push would do. Throws `USAGE` without a token or for content that would be replaced, `HUB`. */
export async function planPush({ to, folder, files, overwrite }: PushOptions): Promise<PushPlan> {
  const settings = hubSettings()
  const name = nameOf(to)
  const { repo } = name
  const page = `${settings.endpoint}/${repo}`
  expectMayWrite(settings, repo)
  const parent = await commitOf(settings, name)
  const there = parent === null ? new Map<string, string>() : await listAll(settings, repo, parent)
  const added: string[] = []
  const replaced: string[] = []
  const same: string[] = []
  for (const file of files) {
    const sum = there.get(file)
    const list = sum === undefined ? added : (await sumOf(join(folder, file), sum)) === sum ? same : replaced
    list.push(file)
  }
  if (replaced.length > 0 && !overwrite)
    throw new SherdError(
      'USAGE',
      `${page} has ${replaced.join(', ')} already, with other content: give another name, or --overwrite, which replaces them in a new commit (its history keeps them).`,
    )
  const kept = [...there.keys()].filter((file) => !files.includes(file))
  const bytes = [...added, ...replaced].reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
  return { repo, page, parent, added, replaced, same, kept, bytes }
}

function expectMayWrite({ token, offline, endpoint }: HubSettings, repo: string): void {
  if (offline)
    throw new SherdError('USAGE', `HF_HUB_OFFLINE is set, so nothing is written to ${repo}: unset it.`)
  if (!token)
    throw new SherdError(
      'USAGE',
      `--push ${repo} needs a token: make one with the right to write at ${endpoint}/settings/tokens and give it as HF_TOKEN.`,
    )
}

async function commitOf(settings: HubSettings, name: HubName): Promise<string | null> {
  try {
    return (await lookUp(settings, name)).commit
  } catch (error) {
    if (error instanceof NotThere) return null
    throw error
  }
}

/** Does what was planned. Throws `HUB`. */
export async function push(plan: PushPlan, options: PushOptions): Promise<Pushed> {
  const { folder, isPrivate, title } = options
  const settings = hubSettings()
  const name = nameOf(plan.repo)
  const wanted = [...plan.added, ...plan.replaced]
  if (wanted.length === 0 && plan.parent !== null) return { ...plan, hub: `hf:${plan.repo}@${plan.parent}` }
  if (plan.parent === null) await createModel(settings, plan.repo, isPrivate)
  const parent = plan.parent ?? (await lookUp(settings, name)).commit
  hubListener().note(`uploading to ${plan.page} …`)
  const files = wanted.map((path) => ({ path, content: pathToFileURL(join(folder, path)) }))
  const progress = (bytes: number) =>
    hubListener().progress(`uploading to hf:${plan.repo}`, bytes, plan.bytes)
  await upload(settings, { repo: plan.repo, parent, files, title, onSent: progress })
  progress(plan.bytes) // small files are sent with the commit
  return { ...plan, hub: `hf:${plan.repo}@${(await lookUp(settings, name)).commit}` }
}
