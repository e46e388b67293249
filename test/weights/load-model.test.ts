import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/checkpoint/safetensors.ts'
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
    const model = loadModel(out, 'cpu')
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
  })

  it('says so when there is nothing to load', async () => {
    const empty = await workFolder()
    expect(() => loadModel(empty)).toThrow(/is not a run of sherd/)
    const out = join(empty, 'run')
    const config = tinyConfig()
    await run({ config, data: await sampleFolder(), out }, (event) => event.kind === 'start')
    expect(() => loadModel(out)).toThrow(
      expect.objectContaining({ code: 'RUN', message: `${join(out, 'checkpoints')} has no checkpoint yet.` }),
    )
  })
})
