// Names of timm, mae, Hugging Face and Lightning lead to the key of sherd, and every key that the table names is there.
import { expect, it } from 'vitest'
import { keyNamed, knownElsewhere, otherNames } from '../../src/config/common-names.ts'
import { configKeys, unknownKey } from '../../src/config/keys.ts'

it('leads to keys that are there, each name to one', () => {
  const keys = configKeys()
  for (const { key } of otherNames) expect(keys).toContain(key)
  const names = otherNames.flatMap(({ names }) => names)
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
  expect(names.length).toBeGreaterThan(100)
})

it.each([
  ['lr', 'optim.baseLearningRate'],
  ['learning_rate', 'optim.baseLearningRate'],
  ['--learning-rate', 'optim.baseLearningRate'],
  ['blr', 'optim.baseLearningRate'],
  ['optimizer.lr', 'optim.baseLearningRate'],
  ['min_lr', 'optim.minLearningRate'],
  ['batch_size', 'train.batchSize'],
  ['--batch-size', 'train.batchSize'],
  ['BS', 'train.batchSize'],
  ['epochs', 'train.epochs'],
  ['max_steps', 'train.steps'],
  ['weight_decay', 'optim.weightDecay'],
  ['wd', 'optim.weightDecay'],
  ['warmup_epochs', 'optim.warmupFraction'],
  ['mask_ratio', 'mask.ratio'],
  ['mask_patch_size', 'mask.cell'],
  ['img_size', 'model.imageSize'],
  ['input_size', 'model.imageSize'],
  ['patch_size', 'model.patchSize'],
  ['num_workers', 'data.workers'],
  ['accum_iter', 'train.accumulate'],
  ['embed_dim', 'model.width'],
  ['num_heads', 'model.heads'],
  ['decoder_embed_dim', 'decoder.width'],
  ['norm_pix_loss', 'target.normalize'],
  ['amp', 'train.precision'],
  ['momentum', 'optim.momentum'],
  ['model.embed_dim', 'model.width'],
])('%s is %s', (name, key) => {
  expect(keyNamed(name)).toBe(key)
  expect(unknownKey(name).message).toContain(`In sherd it is ${key}`)
})

it('says what there is in place of what sherd has not', () => {
  expect(knownElsewhere('--drop-path')).toContain('"sherd evaluate finetune"')
  expect(knownElsewhere('output_dir')).toContain('--out DIR')
  expect(knownElsewhere('nonsense')).toBeNull()
})

it('leaves mistyped keys to their letters', () => {
  expect(unknownKey('optim.baseLearningrate').message).toContain('Did you mean "optim.baseLearningRate"?')
  expect(unknownKey('decoder.heads2').message).toContain('Did you mean "decoder.heads"?')
  expect(unknownKey('nodata').message).toContain('Did you mean "data.nodata"?')
  expect(unknownKey('perFrame').message).toContain('Did you mean "mask.perFrame"?')
})
