/** Errors for weights of other programs where sherd's are expected, with the command that converts them. */
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Header } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { isLfsPointer, lfsAdvice } from '../files/lfs-pointer.ts'
import { quoted } from '../files/shell.ts'
import type { LayoutName } from './layouts.ts'
import { modelsAmong } from './recognise.ts'
import { isLegacy } from './torch-legacy.ts'

const stemOf = (path: string) => basename(path).replace(/\.(?:safetensors|bin|pth|pt|ckpt|pkl)$/i, '')

/** Suggests `sherd import`, with an output name that differs from the input's. */
function importFirst(path: string, what: string): SherdError {
  const out = `${stemOf(path)}${/\.safetensors$/i.test(path) ? '-imported' : ''}.safetensors`
  return new SherdError(
    'USAGE',
    `${path} is ${what}: import it first. Type:\n  sherd import ${quoted(path)} --out ${quoted(out)}\nand give ${out} here.`,
  )
}

function startOf(path: string): Buffer {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(512)
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0))
  } finally {
    closeSync(fd)
  }
}

const usual = /^(?:open_clip_)?(?:model\.safetensors|pytorch_model\.bin)(?:\.index\.json)?$/
const torchEnding = /\.(?:pth|pt|ckpt)$/

/** Of a run, a checkpoint, and reports beside a file of weights. */
const ofSherd = ['run.json', 'checkpoints', 'state.json', 'report.json']

/** Whether a folder is of transformers, timm, OpenCLIP, or of a PyTorch file. */
export function isForeignFolder(path: string): boolean {
  const has = (name: string) => existsSync(join(path, name))
  if (ofSherd.some(has)) return false
  const names = readdirSync(path)
  const isDescribed = has('config.json') || has('open_clip_config.json')
  return names.some((name) => torchEnding.test(name) || (isDescribed && usual.test(name)))
}

/** Whether a file is of PyTorch, by its first bytes and its name. */
export const isTorchFile = (path: string, start: Buffer): boolean =>
  (start.toString('latin1', 0, 2) === 'PK' && !/\.npz$/i.test(path)) ||
  isLegacy(start) ||
  /\.(?:pth|pt|ckpt|pkl)$/i.test(path) ||
  basename(path) === 'pytorch_model.bin'

/** What a path is, if it is a PyTorch file or a folder of transformers or timm. Throws `CHECKPOINT` for a pointer of Git LFS. */
function foreignKind(path: string): string | null {
  const stat = statSync(path)
  if (stat.isDirectory())
    return isForeignFolder(path) ? 'a folder of Hugging Face (transformers or timm)' : null
  if (!stat.isFile()) return null
  const start = startOf(path)
  if (isLfsPointer(start)) throw new SherdError('CHECKPOINT', `${path}: ${lfsAdvice}.`)
  return isTorchFile(path, start) ? 'a PyTorch file' : null
}

/** Whether it is a PyTorch file or a folder of transformers or timm. Throws `CHECKPOINT` for a pointer of Git LFS. */
export const isForeign = (path: string): boolean => foreignKind(path) !== null

/** Throws `USAGE` for a PyTorch file and for a folder of transformers or timm, `CHECKPOINT` for a pointer of Git LFS. */
export function refuseForeign(path: string): void {
  const kind = foreignKind(path)
  if (kind !== null) throw importFirst(path, kind)
}

/** Layouts whose names sherd has, too. */
const ours: ReadonlySet<LayoutName> = new Set(['mae', 'satmae', 'timm', 'dino'] as const)

/** Whether the names in a safetensors file are those of another program. */
export function hasForeignNames({ entries }: Pick<Header, 'entries'>): boolean {
  const names = new Set(entries.keys())
  const models = modelsAmong(names)
  const isOurs = names.has('blocks.0.attn.qkv.weight') && models.every(({ layout }) => ours.has(layout))
  // facebookresearch/mae and timm store positions with a batch dimension and a row for cls.
  const hasTheirTable = entries.get('pos_embed')?.shape.length === 3 || names.has('decoder_pos_embed')
  return hasTheirTable || (!isOurs && models.length > 0)
}

/** Throws `USAGE` for a safetensors file with names of other programs. */
export function refuseForeignNames(path: string, header: Pick<Header, 'entries'>): void {
  if (hasForeignNames(header)) throw importFirst(path, 'a file of another program')
}
