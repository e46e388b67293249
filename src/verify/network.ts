/**
 * Reference files of networks: the objective that a file names, built from its config, takes the file's steps; outputs, loss, parts and
 * gradients of the first step, all losses and what is there at the end are compared. A row says how an objective is built; this file
 * knows none of them.
 */
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { narrow, reshape, select, toDevice } from '../tensor/ops.ts'
import { disposeAll, scope } from '../tensor/scope.ts'
import type { Device, Tensor } from '../tensor/tensor.ts'
import { openExpectations } from './expectations.ts'
import { parseMetadata } from './metadata.ts'
import type { Given, NetworkRow } from './network-row.ts'
import type { Checked } from './operator-file.ts'
import { expectPlaces, firstParameters, leavesStateOut, placesOf } from './places.ts'
import { readRecipe } from './recipe.ts'
import { takeSteps } from './trajectory.ts'

const inputOf =
  (tensor: Given['tensor'], device: Device): Given['input'] =>
  (name, { step, samples: { indices }, rows }, rank, of) => {
    const [view, views] = of ?? [0, 1]
    const given = tensor(`input.${name}`)
    const [size = 0, ...shape] = given.shape.length > rank ? given.shape.slice(1) : given.shape
    const samples = of && views === size ? (shape.shift() ?? 0) : size / views
    if (samples !== rows)
      throw new SherdError(
        'VALUE',
        `input.${name}: expected ${rows} samples, got [${given.shape.join(', ')}]`,
      )
    const ofStep = given.shape.length > rank ? select(given, 0, step) : given
    const all = reshape(ofStep, [views * samples, ...shape])
    return toDevice(narrow(all, 0, view * samples + (indices[0] ?? 0), indices.length), device)
  }

/** Everything that a file expects, against what its objective gives. */
export const checkNetwork = <Config, Batch, Plan>(
  row: NetworkRow<Config, Batch, Plan>,
  file: string,
  device: Device,
): Checked =>
  scope(() => {
    const { metadata, tensors } = readSafetensors(file)
    const tensor = (name: string): Tensor => {
      const found = tensors.get(name)
      if (!found) throw new SherdError('VALUE', `it has no tensor "${name}"`)
      return found
    }
    const config = parseMetadata(metadata.config, 'config', row.config)
    const opened = row.open(config, { device, tensors, tensor, input: inputOf(tensor, device) })
    expectPlaces(opened.objective, tensors)
    const { first, ...others } = opened.objective
    const objective = (
      leavesStateOut(opened.objective, tensors) ? opened.objective : others
    ) as typeof opened.objective
    const places = placesOf(objective)
    const named = new Map([...places].map(([name, place]) => [place.first, name]))
    const recipe = readRecipe(metadata.optimizer, {
      steps: tensor('expected.losses').shape[0] ?? 0,
      nameOf: (name) => named.get(`weights.${name}`) ?? name,
      decay: row.decay ?? 'matrices',
    })
    const { check, left } = openExpectations(
      { tensors, tensor, isFirstFormat: metadata.format === 'sherd-reference/1' },
      {
        places,
        page: typeof row.tolerances === 'string' ? row.tolerances : row.tolerances(config),
        rates: recipe.learningRates,
      },
    )
    const take = (microBatches: number) => {
      const parameters = firstParameters(objective, { tensors, tensor }, device)
      const options = { opened: { ...opened, objective }, parameters, recipe, microBatches, device }
      const taken = takeSteps(options)
      disposeAll(parameters)
      return taken
    }
    const checks = check(take(1))
    const { microBatches = 1 } = opened
    const again = microBatches > 1 ? check(take(microBatches), 'microBatches.') : []
    return { checks: [...checks, ...again], notSupported: left() }
  })
