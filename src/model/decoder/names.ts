/** The names of what stands behind an encoder in weights of pretraining: decoders, mask tokens and what else predictions need. */
export const isOfDecoder = (name: string): boolean =>
  /^(?:decoder_|mask_token$|cls_pt_|upscale\.|wfm\.|dec_norms\.)/.test(name)
