/** What commands with `--out` share: `--overwrite`, and what is said about a result that is there. */
import { Option } from 'commander'
import { note } from './output.ts'

export const overwriteOption = (): Option =>
  new Option('--overwrite', 'replace what is there: the old result stays until the new one is complete')

/** For the result of `claimed`. */
export function noteThere(out: string, { wasThere }: { readonly wasThere: boolean }): void {
  if (wasThere)
    note(
      `${out} is there, made by this command from the same input: nothing to do. --overwrite makes it again.`,
    )
}
