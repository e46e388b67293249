import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
import { writeWeights } from '../../src/checkpoint/weights-file.ts'
import { weightsMetadata } from '../../src/checkpoint/weights-metadata.ts'
import { toFloats } from '../../src/tensor/tensor.ts'
import { loadModel } from '../../src/weights/load-model.ts'
import { run, sampleFolder, tinyConfig, workFolder } from '../run/tiny.ts'

describe('loadModel', () => {
  it('gives the weights of the latest checkpoint, with what belongs to them', async () => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({
      data: { statistics: 'dataset' },
      train: { steps: 4 },
      checkpoint: { everySteps: 2 },
    })
    await run({ config, data: await sampleFolder(), out })
    const model = await loadModel(out, 'cpu')
    expect(model.step).toBe(4)
    expect(model.config).toEqual(config)
    expect(model.statistics.mean).toHaveLength(3)
    expect(model.statistics.mean).not.toEqual([0.485, 0.456, 0.406])
    expect([...model.parameters.keys()]).toEqual(model.objective.rows.map(({ name }) => name))
    const weightsAt = (step: number) => {
      const { tensors } = readSafetensors(
        join(out, 'checkpoints', `step-0000000${step}`, 'model.safetensors'),
      )
      return new Map([...tensors].map(([name, weight]) => [name, toFloats(weight)]))
    }
    const loaded = new Map([...model.parameters].map(([name, weight]) => [name, toFloats(weight)]))
    expect(loaded).toEqual(weightsAt(4))
    expect(loaded).not.toEqual(weightsAt(2))
    for (const path of ['checkpoints/step-00000002', 'checkpoints/step-00000002/model.safetensors']) {
      const earlier = await loadModel(join(out, path), 'cpu')
      expect(earlier.step).toBe(2)
      expect(earlier.statistics).toEqual(model.statistics)
      expect(new Map([...earlier.parameters].map(([name, weight]) => [name, toFloats(weight)]))).toEqual(
        weightsAt(2),
      )
    }
  })

  it('takes a file of both halves, and says so of one without a decoder', async () => {
    const out = join(await workFolder(), 'run')
    const config = tinyConfig({ train: { steps: 1 } })
    await run({ config, data: await sampleFolder(), out })
    const of = await loadModel(out, 'cpu')
    const whole = join(out, 'whole.safetensors')
    writeWeights(whole, of.parameters, weightsMetadata(of))
    const read = await loadModel(whole, 'cpu')
    expect([read.step, [...read.parameters.keys()]]).toEqual([null, [...of.parameters.keys()]])
    const half = join(out, 'half.safetensors')
    writeWeights(
      half,
      new Map([...of.parameters].filter(([name]) => !name.startsWith('decoder'))),
      weightsMetadata(of),
    )
    await expect(loadModel(half)).rejects.toThrow(
      /half\.safetensors has an encoder alone, .*\(no decoder_embed\.weight\): give a run of pretraining/,
    )
  })

  it('says so when there is nothing to load', async () => {
    const empty = await workFolder()
    await expect(loadModel(empty)).rejects.toThrow(/is not a run of sherd/)
    const out = join(empty, 'run')
    const config = tinyConfig()
    await run({ config, data: await sampleFolder(), out }, (event) => event.kind === 'start')
    await expect(loadModel(out)).rejects.toThrow(
      expect.objectContaining({ code: 'RUN', message: `${join(out, 'checkpoints')} has no checkpoint yet.` }),
    )
  })
})
