/** `--push` of an exported folder: says what it will do to the repository, and does it. */
import { note, print, printJson } from '../output.ts'

export async function pushFolder(
  { out, files, architecture }: { out: string; files: readonly string[]; architecture: string },
  to: string,
  flags: { readonly private?: boolean; readonly overwrite?: boolean; readonly json?: boolean },
): Promise<void> {
  const { planPush, push } = await import('../../hub/push.ts')
  const request = {
    ...{ to, folder: out, files, overwrite: flags.overwrite },
    ...{ isPrivate: flags.private, title: `${architecture} of sherd` },
  }
  const plan = await planPush(request)
  const { repo, page, parent, added, replaced, same, kept, bytes } = plan
  const isNew = parent === null
  if (isNew) note(`${page} is made${flags.private ? ', private' : ''}`)
  const lists = { add: added, replace: replaced, 'is there already': same, 'stays, of others': kept }
  for (const [what, list] of Object.entries(lists)) if (list.length > 0) note(`${what}: ${list.join(', ')}`)
  const { hub } = await push(plan, request)
  if (flags.json)
    printJson({ kind: 'push', model: hub, page, repo, isNew, bytes, added, replaced, same, kept })
  else print(added.length + replaced.length > 0 ? `${hub}: ${page}` : `${hub} is the same already: ${page}`)
}
