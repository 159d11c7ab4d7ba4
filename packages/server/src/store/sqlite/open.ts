/**
 * An open database file: locked against a second writer, migrated, and with the one way in which
 * the tables are written: `write` runs a function as one. SQLite is synchronous, so nothing else of
 * this process can come between the statements of either `read` or `write`.
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
/** A checkpoint waits for the disk; at 4 KiB a page, this is one for every 32 MiB written. */
const CHECKPOINT_PAGES = 8192;

/** With more writes than this in a turn of the event loop, several runs are at work. */
const BUSY_WRITES = 8;

/** Writes that are committed together. */
interface Batch {
  readonly committed: PromiseWithResolvers<void>;
  /** Whether it holds anything yet. */
  isUsed: boolean;
}

export class Database {
  readonly #db: DatabaseSync;
  readonly #lock: Disposable | undefined;
  readonly #statements: Readonly<
    Record<'begin' | 'commit' | 'save' | 'release' | 'undo', StatementSync>
  >;
  #batch: Batch | undefined;
  #turnWrites = 0;
  #isBusy = false;

  constructor(db: DatabaseSync, lock: Disposable | undefined) {
    this.#db = db;
    this.#lock = lock;
    this.#statements = {
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      save: db.prepare('SAVEPOINT work'),
      release: db.prepare('RELEASE work'),
      undo: db.prepare('ROLLBACK TO work'),
    };
  }

  prepare(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /**
   * Runs `work` at once and as one: all of it happens, or nothing does when it throws or has called
   * `undo`. Resolves when it is committed: soon where little is written; else at the end of this
   * turn of the event loop, so that many sessions share one commit.
   * @throws {ExoclawError} store_error
   */
  async write<T>(work: (undo: () => void) => T): Promise<T> {
    try {
      this.#countWrite();
      const batch = (this.#batch ??= this.#openBatch());
      const result = this.#runInside(batch, work);
      await batch.committed.promise;
      return result;
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
    if (this.#batch !== undefined) this.#commit(this.#batch);
    try {
      this.#db.close();
    } finally {
      this.#lock?.[Symbol.dispose]();
    }
  }

  #countWrite(): void {
    this.#turnWrites += 1;
    if (this.#turnWrites > 1) return;
    setImmediate(() => {
      this.#isBusy = this.#turnWrites > BUSY_WRITES;
      this.#turnWrites = 0;
    });
  }

  #openBatch(): Batch {
    this.#statements.begin.run();
    const committed = Promise.withResolvers<void>();
    // Its writers are told as well; one that has failed on its own does not wait for it.
    committed.promise.catch(() => undefined);
    const batch = { committed, isUsed: false };
    if (this.#isBusy) setImmediate(() => this.#commit(batch));
    else queueMicrotask(() => this.#commit(batch));
    return batch;
  }

  #runInside<T>(batch: Batch, work: (undo: () => void) => T): T {
    const { save, release, undo } = this.#statements;
    // The first one needs no savepoint: where it fails, there is nothing else to keep.
    const isFirst = !batch.isUsed;
    if (!isFirst) save.run();
    let keep = true;
    try {
      const result = work(() => {
        keep = false;
      });
      if (keep) batch.isUsed = true;
      else if (isFirst) this.#drop(batch);
      else undo.run();
      if (!isFirst) release.run();
      return result;
    } catch (error) {
      if (isFirst) this.#drop(batch);
      else if (this.#db.isTransaction) {
        undo.run();
        release.run();
      } else {
        // Some failures (a full disk) end the whole transaction, and with it the work of others.
        this.#batch = undefined;
        batch.committed.reject(error);
      }
      throw error;
    }
  }

  /** Ends a batch that holds nothing. */
  #drop(batch: Batch): void {
    this.#batch = undefined;
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    batch.committed.resolve();
  }

  #commit(batch: Batch): void {
    if (this.#batch !== batch) return;
    this.#batch = undefined;
    try {
      this.#statements.commit.run();
      batch.committed.resolve();
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      batch.committed.reject(error);
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
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
    `);
    migrate(db);
    return new Database(db, lock);
  } catch (error) {
    db?.close();
    lock?.[Symbol.dispose]();
    throw toStoreError(error);
  }
}
