/**
 * An open database file: locked against a second writer, migrated, and with the one way in which
 * the tables are written: `write` runs a function inside one transaction. SQLite is synchronous,
 * so nothing else of this process can come between the statements of either `read` or `write`.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { toStoreError } from './error.ts';
import { createPrivateFile, lockDatabase } from './lock.ts';
import { assertOurs, migrate } from './migrations.ts';

export interface DatabaseOptions {
  /** A file, created with its folder when absent, or `:memory:`. */
  readonly path: string;
  /**
   * `normal` survives a killed process; a power cut may take the last commits. `full` waits for
   * the disk at each commit and survives that too.
   */
  readonly synchronous: 'normal' | 'full';
}

/** Waiting for a lock stops the whole process, so it is short; nobody else should write anyway. */
const BUSY_TIMEOUT_MS = 250;
/** The write-ahead log is cut back to this after a checkpoint. */
const MAX_WAL_BYTES = 64 * 1024 * 1024;

export class Database {
  readonly #db: DatabaseSync;
  readonly #lock: Disposable | undefined;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;

  constructor(db: DatabaseSync, lock: Disposable | undefined) {
    this.#db = db;
    this.#lock = lock;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
  }

  prepare(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /**
   * Runs `work` in one transaction: all of it happens, or nothing does when it throws or has
   * called `undo`.
   * @throws {ExoclawError} store_error
   */
  async write<T>(work: (undo: () => void) => T): Promise<T> {
    try {
      this.#begin.run();
      let keep = true;
      try {
        const result = work(() => {
          keep = false;
        });
        (keep ? this.#commit : this.#rollback).run();
        return result;
      } catch (error) {
        // Some failures (a full disk) end the transaction themselves.
        if (this.#db.isTransaction) this.#rollback.run();
        throw error;
      }
    } catch (error) {
      throw toStoreError(error);
    }
  }

  /** @throws {ExoclawError} store_error */
  async read<T>(work: () => T): Promise<T> {
    try {
      return work();
    } catch (error) {
      throw toStoreError(error);
    }
  }

  close(): void {
    if (!this.#db.isOpen) return;
    try {
      this.#db.close();
    } finally {
      this.#lock?.[Symbol.dispose]();
    }
  }
}

/**
 * Opens, locks and migrates a database.
 * @throws {ExoclawError} store_error when it is in use, damaged, of a newer version, or the file
 *   system refuses.
 */
export function openDatabase({ path, synchronous }: DatabaseOptions): Database {
  const ephemeral = path === ':memory:';
  let lock: Disposable | undefined;
  let db: DatabaseSync | undefined;
  try {
    if (!ephemeral) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      lock = lockDatabase(path);
      // SQLite gives its `-wal` and `-shm` files the rights of the main file.
      createPrivateFile(path);
    }
    db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
    assertOurs(db);
    db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA journal_size_limit = ${MAX_WAL_BYTES};
    `);
    migrate(db);
    return new Database(db, lock);
  } catch (error) {
    db?.close();
    lock?.[Symbol.dispose]();
    throw toStoreError(error);
  }
}
