/** Which files of a folder hold its weights, by their names: on the disk and on the hub. */

/** In order of preference. The last two are OpenCLIP's. */
export const usualWeights: readonly string[] = [
  ...['model.safetensors', 'pytorch_model.bin'],
  ...['open_clip_model.safetensors', 'open_clip_pytorch_model.bin'],
]
const endings = /\.(?:safetensors|bin|pth|pt|ckpt)$/

/** What a library computed, beside weights that are to be compared with it; no weights. */
const EXPECTED = 'expected.safetensors'

/** What is read beside weights of a usual name, or of a folder with one file. */
export const descriptions: readonly string[] = [
  'config.json',
  'preprocessor_config.json',
  'open_clip_config.json',
]

export const isWeightFile = (name: string): boolean => endings.test(name)

/** Whether the file is one of weights, or the index of several. */
export type WeightsChoice =
  | { readonly file: string; readonly isIndex: boolean }
  | {
      readonly file: null /** None, or several of which one has to be named. */
      readonly all: readonly string[]
    }

/** `has`: asked for the usual ones first; `names`: of all files. */
export function chooseWeightFile(
  has: (name: string) => boolean,
  names: () => readonly string[],
): WeightsChoice {
  for (const name of usualWeights) {
    if (has(name)) return { file: name, isIndex: false }
    if (has(`${name}.index.json`)) return { file: `${name}.index.json`, isIndex: true }
  }
  const all = names().filter((name) => isWeightFile(name) && name !== EXPECTED)
  return all.length === 1 ? { file: all[0]!, isIndex: false } : { file: null, all }
}

/** The tensors of each shard that an index names; null where it is none. Names may be anything. */
export function shardsOf(index: unknown): ReadonlyMap<string, readonly string[]> | null {
  const map = (index as { weight_map?: unknown } | null)?.weight_map
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return null
  const tensors = new Map<string, string[]>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string') return null
    const known = tensors.get(file)
    if (known) known.push(name)
    else tensors.set(file, [name])
  }
  return tensors
}

/** Whether a shard would lie beside its index. */
export const isPlainName = (name: string): boolean =>
  /^[^/\\\p{Cc}]+$/u.test(name) && name !== '.' && name !== '..'
