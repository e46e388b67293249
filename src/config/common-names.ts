/** Names that other programs have for what is a key of sherd: timm, facebookresearch/mae, Hugging Face, Lightning, PyTorch. */

/** A key, and what differs from the usual meaning. */
type Row = readonly [key: string, names: string, remark?: string]

// Names are compared without case, hyphens and underscores.
const table: readonly Row[] = [
  [
    'optim.baseLearningRate',
    'lr blr learning_rate base_lr max_lr peak_lr lr_rate',
    'the rate for 256 samples; the peak is it times the effective batch over 256',
  ],
  ['optim.minLearningRate', 'min_lr lr_min final_lr end_lr eta_min', 'where the cosine ends'],
  [
    'optim.warmupFraction',
    'warmup warmup_epochs warmup_ratio warmup_iters lr_warmup_epochs warmup_percent',
    'a share of the steps; optim.warmupSteps takes a number of steps',
  ],
  ['optim.warmupSteps', 'warmup_t num_warmup_steps'],
  ['optim.weightDecay', 'wd decay'],
  ['optim.finalWeightDecay', 'weight_decay_end wd_end final_wd'],
  ['optim.clipGradientNorm', 'clip_grad clip grad_clip max_grad_norm max_norm gradient_clip_val clip_norm'],
  ['optim.optimizer', 'opt optim_name solver optimizer_name'],
  ['optim.momentum', 'mom', 'only of lars and sgd'],
  ['optim.beta1', 'betas adam_betas opt_betas adam_beta1', 'the second is optim.beta2'],
  ['optim.beta2', 'adam_beta2'],
  ['optim.epsilon', 'eps adam_eps opt_eps adam_epsilon'],
  [
    'train.batchSize',
    'bs batch batch_size_per_gpu per_device_train_batch_size train_batch_size micro_batch_size mini_batch_size',
    'samples of one micro-batch; the effective batch is it times train.accumulate',
  ],
  [
    'train.accumulate',
    'accum_iter accum grad_accum gradient_accumulation gradient_accumulation_steps accumulate_grad_batches grad_accum_steps',
    'micro-batches of one step',
  ],
  ['train.epochs', 'num_epochs max_epochs num_train_epochs n_epochs total_epochs', 'passes over the data'],
  [
    'train.steps',
    'max_steps num_steps n_steps iterations iters max_iter max_iters num_iterations total_steps',
    'optimizer steps, in place of epochs',
  ],
  ['train.seed', 'random_seed manual_seed random_state'],
  ['train.device', 'gpu cuda accelerator use_gpu use_cuda no_cuda', 'auto, cpu or cuda'],
  [
    'train.precision',
    'amp fp16 bf16 dtype mixed_precision autocast use_amp half',
    'auto, fp32 or bf16; there is no fp16',
  ],
  [
    'train.recompute',
    'gradient_checkpointing grad_checkpointing checkpoint_activations activation_checkpointing use_checkpoint',
  ],
  ['train.kernels', 'compile torch_compile'],
  ['train.record', 'cuda_graph cuda_graphs capture use_cuda_graph'],
  ['train.threads', 'num_threads cpu_threads', 'threads of one operator'],
  [
    'data.workers',
    'num_workers n_workers dataloader_num_workers prefetch_workers loader_workers',
    'images decoded at once; 0 chooses',
  ],
  ['data.prefetchBatches', 'prefetch prefetch_factor prefetch_size'],
  ['data.flip', 'hflip horizontal_flip random_flip', 'true mirrors half of the samples'],
  [
    'data.scale',
    'crop_scale rrc_scale random_resized_crop_scale min_scale crop_min',
    '[low, high], shares of the area',
  ],
  ['mask.ratio', 'masking_ratio mask_prob masking mask_rate'],
  ['mask.kind', 'mask_type mask_mode mask_strategy'],
  ['mask.cell', 'mask_patch_size mask_unit_size'],
  ['mask.minBlock', 'min_num_patches min_mask_patches_per_block'],
  ['data.ratio', 'crop_ratio aspect_ratio rrc_ratio'],
  [
    'data.photometric',
    'color_jitter colour_jitter aug augment augmentation auto_augment aa',
    'a named recipe',
  ],
  ['data.statistics', 'mean std normalization normalize_stats image_mean image_std', 'imagenet or dataset'],
  ['data.bands', 'band_list masked_bands input_bands', 'names, such as ["B2","B3"]'],
  [
    'model.imageSize',
    'img_size input_size resolution crop_size size_px image_resolution imgsz',
    'one side, or [height, width]',
  ],
  ['model.patchSize', 'patch p_size token_size'],
  ['model.channels', 'in_chans in_channels num_channels input_channels n_channels in_c'],
  [
    'model.size',
    'model_name arch architecture backbone model_size variant',
    'tiny, small, base, large or huge',
  ],
  ['model.width', 'embed_dim hidden_size hidden_dim dim d_model encoder_embed_dim'],
  ['model.depth', 'num_layers num_hidden_layers n_layers layers n_layer num_blocks encoder_depth'],
  ['model.heads', 'num_heads num_attention_heads n_heads n_head encoder_num_heads'],
  ['model.mlpRatio', 'ffn_ratio mlp_dim intermediate_size', 'the hidden width over the width'],
  ['model.layerNormEpsilon', 'layer_norm_eps norm_eps ln_eps'],
  ['decoder.width', 'decoder_embed_dim decoder_hidden_size decoder_dim'],
  ['decoder.depth', 'decoder_layers decoder_num_layers decoder_num_hidden_layers'],
  ['decoder.heads', 'decoder_num_heads decoder_num_attention_heads'],
  ['target.normalize', 'norm_pix_loss norm_pix norm_pixels normalize_target'],
  ['target.kind', 'loss_target target_type mask_feature'],
  ['log.everySteps', 'log_every print_freq log_freq log_interval logging_steps log_every_n_steps'],
  ['log.pictureEverySteps', 'sample_every vis_freq viz_every', 'a reconstruction each so many steps'],
  ['log.probeEverySteps', 'eval_freq eval_every eval_interval eval_steps'],
  [
    'checkpoint.everySteps',
    'save_every save_freq save_interval save_steps ckpt_every checkpoint_interval save_ckpt_freq',
    'steps',
  ],
  ['checkpoint.keep', 'save_total_limit keep_last max_checkpoints save_ckpt_num checkpoint_hist'],
]

/** What sherd has not, and what there is in its place. */
const absent: readonly (readonly [names: string, instead: string])[] = [
  [
    'drop_path droppath drop_path_rate stochastic_depth',
    'Pretraining drops no blocks; "sherd evaluate finetune" does.',
  ],
  ['dropout drop drop_rate attn_drop', 'There is no dropout: the mask does what it is for.'],
  [
    'scheduler lr_scheduler sched lr_schedule',
    'The schedule is always a warm-up and half a cosine: optim.warmupFraction, optim.minLearningRate.',
  ],
  [
    'world_size gpus n_gpu devices num_gpus local_rank nodes dist_url',
    'One process on one device trains: train.device.',
  ],
  ['pin_mem pin_memory', 'The loader shares its memory anyway: nothing is to be set.'],
  [
    'resume pretrained finetune ckpt load checkpoint_path',
    'To continue a run: --resume; to begin with weights: --init PATH.',
  ],
  [
    'output_dir out_dir save_dir log_dir logdir work_dir project default_root_dir',
    'Where a run is written is the option --out DIR.',
  ],
  [
    'data_path data_dir dataset root imagenet train_dir img_dir image_dir image_folder',
    'The folder of images is the option --data DIR.',
  ],
  [
    'wandb use_wandb tensorboard report_to logger',
    'A run writes metrics.jsonl, loss.svg and pictures in its own folder.',
  ],
  [
    'layer_decay llrd',
    'Pretraining has one rate for all blocks; "sherd evaluate finetune" has --layer-decay.',
  ],
  [
    'mixup cutmix smoothing label_smoothing',
    'Pretraining has no labels; "sherd evaluate finetune" mixes samples.',
  ],
]

const plain = (name: string) => name.replace(/[-_\s]/g, '').toLowerCase()
const namesIn = (list: string) => list.split(' ').map(plain)
const lastOf = (name: string) => plain(name.split('.').at(-1)!)

export const otherNames = table.map(([key, names, remark]) => ({ key, names: namesIn(names), remark }))

/** The key that other programs call `name`: `lr`, `--batch-size`, `optimizer.wd`; null if none does. */
function rowNamed(name: string) {
  const bare = name.replace(/^-+/, '')
  // A name without its group, such as batch_size, is no other program's, but means the same.
  const isOwn = (key: string) =>
    !bare.includes('.') && [lastOf(key), plain(key.replace('.', ''))].includes(plain(bare))
  return otherNames.find(({ key, names }) => names.includes(lastOf(bare)) || isOwn(key)) ?? null
}

/** The key of sherd for a name that another program uses, for suggestions; null if there is none. */
export const keyNamed = (name: string): string | null => rowNamed(name)?.key ?? null

/** ` In sherd it is optim.baseLearningRate (…).`, or what there is in place of it; null for names that are not known. */
export function knownElsewhere(name: string): string | null {
  const found = rowNamed(name)
  if (found) return ` In sherd it is ${found.key}${found.remark ? ` (${found.remark})` : ''}.`
  const other = absent.find(([names]) => namesIn(names).includes(lastOf(name.replace(/^-+/, ''))))
  return other ? ` ${other[1]}` : null
}
