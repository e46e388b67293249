/** The images of a request: one as the body, or the files of a form. */

import type {} from '@fastify/multipart' // extends the type of requests
import type { FastifyRequest } from 'fastify'
import { messageOf } from '../errors.ts'
import { bodyTypes, collect, type Work } from './bodies.ts'
import { Refusal } from './refusal.ts'

export interface UploadedImage {
  /** The file's name in a form; null for a body. */
  readonly name: string | null
  readonly file: Uint8Array
}

export interface Upload {
  readonly images: readonly UploadedImage[]
  /** A form may hold several images: each has a result or an error of its own. */
  readonly isForm: boolean
}

export async function imagesOf(request: FastifyRequest, work: Work): Promise<Upload> {
  if (!request.isMultipart()) {
    const { body } = request
    if (!(body instanceof Uint8Array) || body.length === 0)
      throw new Refusal('BODY', `the body is empty: expected the bytes of an image as ${bodyTypes}`)
    return { images: [{ name: null, file: body }], isForm: false }
  }
  const images: UploadedImage[] = []
  try {
    for await (const part of request.files())
      images.push({ name: part.filename || part.fieldname, file: await collect(part.file, work) })
  } catch (error) {
    const { code = '' } = error as { code?: string }
    if (error instanceof Refusal || code.startsWith('FST_')) throw error
    throw new Refusal('BODY', `the form cannot be read: ${messageOf(error)}`)
  }
  if (images.length === 0)
    throw new Refusal('BODY', 'the form has no file: expected one part with a file name for each image')
  return { images, isForm: true }
}
