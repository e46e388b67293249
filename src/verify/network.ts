/**
 * Reference files of networks: the objective that a file names, built from its config, takes the file's steps; outputs, loss, parts and
 * gradients of the first step, all losses and what is there at the end are compared. A row says how an objective is built; this file
 * knows none of them.
 */
import { readSafetensors } from '../checkpoint/safetensors.ts'
import { SherdError } from '../errors.ts'
import { narrow, select, toDevice } from '../tensor/ops.ts'
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
  (name, { step, samples: { indices } }, rank, view) => {
    const given = tensor(`input.${name}`)
    const ofStep = given.shape.length > rank ? select(given, 0, step) : given
    const all = view === undefined ? ofStep : select(ofStep, 0, view)
    const some = indices.length === all.shape[0] ? all : narrow(all, 0, indices[0]!, indices.length)
    return toDevice(some, device)
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
      ...(row.decay && { decay: row.decay }),
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
