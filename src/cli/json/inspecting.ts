/** What `inspect` prints. */
import { kindNames } from '../../inspect/inspected.ts'
import { choice, kind, object, orNull, text, texts, truth } from './fields.ts'

export const inspecting = {
  inspect: kind('What sherd sees in a file or a folder.', ['inspect'], {
    path: text('as it was given, or below the folder that was'),
    what: choice(kindNames, 'kind of the file'),
    title: text('the same in words'),
    usable: truth('whether sherd takes it for what it is'),
    reason: orNull(text('why not')),
    notes: texts('what is worth knowing'),
    next: texts('commands that take it'),
    facts: object('what is known, by kind: docs/inspect.md'),
  }),
} as const
