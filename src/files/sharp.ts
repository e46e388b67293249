/** sharp, as CommonJS: its ES modules add 60 ms of processor time to the start of every command and of every decoding thread. */
import { createRequire } from 'node:module'
import type Sharp from 'sharp'

export const sharp: typeof Sharp = createRequire(import.meta.url)('sharp')
