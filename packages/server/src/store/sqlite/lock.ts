/**
 * One writer per database file. The lock is an SQLite transaction on an empty database beside it
 * (`<path>.lock`) that is never committed: SQLite holds it as an operating system file lock, which
 * the system drops when the process ends in any way, `kill -9` included, so there is no stale lock
 * to clean up and no process id to compare.
 *
 * POSIX drops all of a process's locks on a file when it closes *any* descriptor of it. Nothing in
 * this process may therefore open the lock file, or the database while it is in use, other than
 * through SQLite; `wx` below opens only a file that did not exist.
 */
import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ExoclawError, isSystemError } from '../../lib/error.ts';
import { isBusy } from './error.ts';

/** Creates an empty file only its owner may read; one that is there already loses wider rights. */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
    chmodSync(path, 0o600);
  }
}

/**
 * Takes the lock of the database at `path` until it is disposed of.
 * @throws {ExoclawError} store_error when another store holds it, in this process or another.
 */
export function lockDatabase(path: string): Disposable {
  const lockPath = `${path}.lock`;
  createPrivateFile(lockPath);
  const lock = new DatabaseSync(lockPath, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = OFF; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new ExoclawError(
      'store_error',
      'The store is in use by another exoclaw process; stop that one first, or give this one ' +
        'another path in [store]',
      { cause: error },
    );
  }
  return {
    [Symbol.dispose]: () => {
      if (lock.isOpen) lock.close();
    },
  };
}
