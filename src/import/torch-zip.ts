/** `torch.save` since PyTorch 1.6: a zip with a pickle, `data.pkl`, and a member for each storage. */
import { SherdError } from '../errors.ts'
import type { ByteFile } from '../files/byte-file.ts'
import { readMember, readStored, type ZipMember, zipMembers } from '../files/zip.ts'
import { readPickle } from './pickle.ts'
import { bytesOf, torchRules } from './torch-objects.ts'
import { MAX_PICKLE_BYTES, type Saved } from './torch-saved.ts'

const refuse = (why: string): never => {
  throw new SherdError('CHECKPOINT', why)
}

/** A member of the file's folder. `torch.save` does not compress; compressed members are refused, since they could be zip bombs. */
function findMember(members: ReadonlyMap<string, ZipMember>, name: string): ZipMember | null {
  const member = members.get(name) ?? null
  if (member?.isDeflated)
    refuse(
      `its member ${name} is packed, which torch.save never does: load it with PyTorch and save it again`,
    )
  return member
}

/** Reads the pickle; storages are read lazily. */
export async function openZip(file: ByteFile): Promise<Saved> {
  const all = await zipMembers(file)
  const found = all.find(({ name }) => /^[^/]+\/data\.pkl$/.test(name)) ?? refuse('its zip has no data.pkl')
  const folder = found.name.slice(0, -'data.pkl'.length)
  const members = new Map(
    all.filter(({ name }) => name.startsWith(folder)).map((member) => [member.name, member]),
  )
  if (
    members.has(`${folder}constants.pkl`) ||
    all.some(({ name }) => name.startsWith('code/', folder.length))
  )
    refuse('it is a TorchScript program, not weights: save the state_dict() of the model')
  const order = findMember(members, `${folder}byteorder`)
  if (order && (order.bytes > 10 || (await readMember(file, order)).toString('latin1') !== 'little'))
    refuse('its numbers are big-endian')
  const pickle = findMember(members, found.name)!
  if (pickle.bytes > MAX_PICKLE_BYTES) refuse(`its pickle of ${pickle.bytes} bytes is too large`)
  const { value, unknown } = readPickle(await readMember(file, pickle), torchRules())
  return {
    ...{ value, unknown, pickleBytes: pickle.bytes },
    async read(storage, first, span) {
      const { key } = storage
      const member =
        findMember(members, `${folder}data/${key}`) ?? refuse(`its storage ${key.slice(0, 40)} is missing`)
      if (member.bytes !== bytesOf(storage))
        refuse(`its storage ${key} has ${member.bytes} bytes, expected ${bytesOf(storage)}`)
      // A whole storage is checked against its CRC in the zip.
      return first === 0 && span === member.bytes
        ? readMember(file, member)
        : readStored(file, member, first, span)
    },
  }
}
