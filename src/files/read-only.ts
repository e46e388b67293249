/**
 * How files are opened that somebody else has put there: without waiting, and only when they are files. Who opens a pipe waits for its
 * writer, and what reads a device may never end.
 */
import { constants } from 'node:fs'

/** Flags for `open`. On a regular file they change nothing. */
export const readOnly = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0)

/** Why what was opened is not read. */
export const notRegular = 'it is no regular file, but a pipe, a socket, a device or a folder'
