/** What SQLite throws, as `ExoclawError`: what happened and what to do, without the file's path. */
import { ExoclawError, isSystemError } from '../../lib/error.ts';

// Primary result codes, sqlite.org/rescode.html; the high bits of an errcode refine them.
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

const ADVICE: Readonly<Record<number, string>> = {
  [BUSY]: 'The store is locked by another program; close that one and try again',
  [LOCKED]: 'The store is locked by another program; close that one and try again',
  [READONLY]: 'The store cannot be written; give this user write access to its file and folder',
  [IOERR]: 'The store cannot be read or written; check its disk',
  [CORRUPT]: 'The store is damaged; stop the gateway and run "exoclaw doctor --fix"',
  [FULL]: 'The disk of the store is full; free some space and try again',
  [CANTOPEN]: 'The store cannot be opened; check that its folder exists and may be written',
  [NOTADB]: 'The file of the store is not a database; run "exoclaw doctor --fix" to set it aside',
};

function toResultCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}

export function isBusy(error: unknown): boolean {
  const code = toResultCode(error);
  return code === BUSY || code === LOCKED;
}

/** Whether the bytes of the file are wrong, as opposed to a disk, a right or a lock. */
export function isDamage(error: unknown): boolean {
  const code = toResultCode(error);
  return code === CORRUPT || code === NOTADB;
}

/** The `store_error` for anything thrown in here; an `ExoclawError` is passed through. */
export function toStoreError(error: unknown): ExoclawError {
  if (error instanceof ExoclawError) return error;
  const code = toResultCode(error);
  const advice = code === undefined ? undefined : ADVICE[code];
  if (advice !== undefined) return new ExoclawError('store_error', advice, { cause: error });
  if (isSystemError(error, 'ERR_INVALID_STATE')) {
    return new ExoclawError('store_error', 'The store is closed', { cause: error });
  }
  if (isSystemError(error) && error.syscall !== undefined) {
    return new ExoclawError(
      'store_error',
      `The file of the store cannot be used (${error.code}); check its folder and its rights`,
      { cause: error },
    );
  }
  return new ExoclawError('store_error', 'The store could not do this; see the log', {
    cause: error,
  });
}
