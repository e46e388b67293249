// Tokens of an encoder with an adapter of PEFT, and an adapter of its base that sherd writes, with its tokens: for check_peft.py.
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [cli, adapter, images, out] = process.argv.slice(2)
const from = (path) => import(pathToFileURL(join(dirname(resolve(cli)), path)).href)
const { openEncoder } = await from('weights/open-encoder.js')
const { saveAdapter } = await from('weights/save-adapter.js')
const { adaptBackbone } = await from('model/adapt.js')
const { initialParameters, weightsOf } = await from('model/parameters.js')
const { openBackbone } = await from('model/backbone.js')
const { viewOf } = await from('prepare/view.js')
const { noGrad } = await from('tensor/context.js')
const { call, callInPlace } = await from('tensor/call.js')
const { fromArray, toFloats } = await from('tensor/tensor.js')

const { base_model_name_or_path: model, target_modules } = JSON.parse(
  readFileSync(join(adapter, 'adapter_config.json'), 'utf8'),
)
const bytes = readFileSync(images)
const tokensOf = ({ dimensions }, backbone, parameters) => {
  const [h, w] = dimensions.imageSize
  const data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).slice()
  const view = viewOf(fromArray(data, [data.length / (3 * h * w), 3, h, w], 'float32'))
  return noGrad(() => Array.from(toFloats(backbone.encodeAll(view, weightsOf(parameters)).sequence)))
}
const read = await openEncoder({ model: adapter, device: 'cpu' })
const tokens = tokensOf(read, openBackbone(read.shape, 'cpu'), read.parameters)

const base = await openEncoder({ model, device: 'cpu' })
const isGated =
  target_modules.some((name) => /gate|mlp/.test(name)) && base.dimensions.variant?.feedForward === 'swiglu'
const adapt = {
  kind: 'lora',
  rank: 4,
  alpha: 8,
  targets: isGated ? ['qkv', 'w12', 'w3'] : ['qkv', 'proj', 'fc1', 'fc2'],
}
const backbone = adaptBackbone(openBackbone(base.shape, 'cpu'), adapt)
const fresh = new Map([...initialParameters(backbone.rows, { seed: 1, device: 'cpu' }), ...base.parameters])
const learned = new Map([...fresh].filter(([name]) => name.includes('.lora_')))
noGrad(() => {
  for (const x of learned.values()) callInPlace('add_.Tensor', x, call('randn', x.shape), 0.05)
})
saveAdapter(join(out, 'adapter_model.safetensors'), base, { adapt, learned })
console.log(JSON.stringify({ tokens, own: tokensOf(base, backbone, fresh) }))
