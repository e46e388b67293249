// Configurations of strangers: refused with short messages, by what they say and not by what every object has.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { SherdError } from '../../src/errors.ts'
import { planImport } from '../../src/import/import.ts'
import { packageRoot } from '../../src/package-root.ts'

const layouts = join(packageRoot(), '../shared/reference/layouts')
const work = mkdtempSync(join(tmpdir(), 'sherd-hostile-folder-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const long = 'y'.repeat(100_000)
const deep = '['.repeat(100_000) + ']'.repeat(100_000)
const nested = 'it nests deeper than 64 levels'

/** Text in the place of the value of a key, `a.b` of one within another. */
function changed(text: string, path: string, value: string): string {
  const mark = '@value@'
  const put = (at: object, [key, ...rest]: readonly string[]): object => ({
    ...at,
    [key!]: rest.length > 0 ? put((at as Record<string, object>)[key!]!, rest) : mark,
  })
  return JSON.stringify(put(JSON.parse(text), path.split('.'))).replace(`"${mark}"`, () => value)
}

async function errorOf(layout: string, file: string, path: string, value: string): Promise<unknown> {
  const dir = mkdtempSync(join(work, 'folder-'))
  cpSync(join(layouts, layout), dir, { recursive: true })
  rmSync(join(dir, 'expected.safetensors'))
  const json = join(dir, file)
  writeFileSync(json, changed(readFileSync(json, 'utf8'), path, value))
  return planImport({ from: dir }, () => null).then(
    () => null,
    (error: unknown) => error,
  )
}

const [config, processor] = ['config.json', 'preprocessor_config.json']
const cases: readonly (readonly [string, string, string, string, string])[] = [
  ['beit', config, 'unread', deep, nested],
  ['beit', processor, 'size', deep, nested],
  ['beit', processor, 'size', `"${long}"`, 'resizing to "yyy'],
  ['beit', processor, 'resample', '"constructor"', 'resampling "constructor"'],
  ['beit', processor, 'image_processor_type', '"__proto__"', 'the processor __proto__'],
  ['beit', processor, 'image_processor_type', `"${long}"`, 'the processor yyy'],
  ['beit', config, 'hidden_act', '"toString"', 'its activation is "toString"'],
  ['beit', config, 'hidden_act', `"${long}"`, 'its activation is "yyy'],
  ['beit', config, 'model_type', '"constructor"', 'its model_type is "constructor"'],
  ['beit', config, 'model_type', `"${long}"`, 'its model_type is "yyy'],
  ['beit', config, 'image_size', '1e9', 'image_size'],
  ['beit', config, 'image_size', '[-8, 8]', 'image_size'],
  ['beit', config, 'hidden_size', '1e999', 'hidden_size'], // Infinity in JavaScript
  ['beit', config, 'num_hidden_layers', '2147483648', 'num_hidden_layers'],
  ['beit', config, 'layer_norm_eps', '-1e-6', 'layer_norm_eps'],
  ['beit', config, 'layer_norm_eps', 'null', 'layer_norm_eps'],
  ['clip', config, 'vision_config.num_attention_heads', '0', 'num_attention_heads'],
  ['timm-beitv2', config, 'pretrained_cfg.crop_mode', '"constructor"', 'crop_mode "constructor"'],
  ['timm-beitv2', config, 'pretrained_cfg.interpolation', `"${long}"`, 'resampling "yyy'],
  ['timm-beitv2', config, 'architecture', `"vit_rope_${long}_rope_"`, '"vit_rope_yyy'],
]

describe('a configuration is refused', () => {
  it.each(cases)('%s, %s, %s', async (layout, file, path, value, message) => {
    const error = await errorOf(layout, file, path, value)
    expect(error).toBeInstanceOf(SherdError)
    expect((error as SherdError).message).toContain(message)
    expect((error as SherdError).message.length).toBeLessThan(1000)
  })
})
