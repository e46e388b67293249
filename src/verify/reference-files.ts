/** The reference files that are meant by files and folders. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readSafetensorsHeader } from '../checkpoint/safetensors.ts'
import { messageOf, SherdError } from '../errors.ts'

export interface ReferenceFile {
  readonly file: string
  /** Whether it was found in a folder, and not named. */
  readonly isFound: boolean
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/** Other weights may lie beside reference files: those state no format of ours. What cannot be read is reported when it is checked. */
function statesFormat(file: string): boolean {
  try {
    return readSafetensorsHeader(file).metadata.format?.startsWith('sherd-') ?? false
  } catch {
    return true
  }
}

function filesIn(folder: string): string[] {
  let names: string[]
  try {
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch (error) {
    throw new SherdError('VALUE', `Cannot read the folder ${folder}: ${messageOf(error)}`, { cause: error })
  }
  const files = names
    .filter((name) => name.endsWith('.safetensors'))
    .sort()
    .map((name) => join(folder, name))
    .filter((file) => !isFolder(file) && statesFormat(file))
  if (files.length === 0)
    throw new SherdError(
      'VALUE',
      `${folder} holds no reference files: expected .safetensors files whose metadata state a format such as "sherd-reference/2"`,
    )
  return files
}

/** The files themselves, and those in folders and the folders in them, by name. */
export const referenceFiles = (path: string): ReferenceFile[] =>
  isFolder(path) ? filesIn(path).map((file) => ({ file, isFound: true })) : [{ file: path, isFound: false }]
