/**
 * The one place where an unknown error becomes what a client sees. What was not written for a
 * client stays here: the client gets an id, the log the whole story under the same id.
 */
import { ERRORS, type WireError } from '@exoclaw/protocol';
import { ExoclawError } from '../lib/error.ts';
import { createId } from '../lib/id.ts';
import type { Log } from '../lib/log.ts';

/** Turns anything thrown into a wire error; logs what the client is not told. */
export function toRpcError(error: unknown, log: Log): WireError {
  if (error instanceof ExoclawError && ERRORS[error.code].exposable) {
    if (error.cause !== undefined) log.warn({ err: error, code: error.code }, error.message);
    const { code, message, data } = error;
    return data === undefined ? { code, message } : { code, message, data };
  }
  const id = createId('err');
  log.error({ err: error, id }, 'internal error');
  return { code: 'internal', message: `internal error (id ${id})` };
}
