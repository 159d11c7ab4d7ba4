/**
 * The schema, as a list of steps that only ever grows: a database at version n runs the steps
 * after n, each in its own transaction, and there is no way back. The SQL is in strings so that a
 * bundled executable carries it.
 */
import type { DatabaseSync } from 'node:sqlite';
import { ExoclawError } from '../../lib/error.ts';

/** "exoc" in ASCII: tells our files from any other SQLite database (`PRAGMA application_id`). */
const APPLICATION_ID = 0x65786f63;

// Every page that a write touches is written to the log as a whole: an index has to earn its keep.
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO counter VALUES ('epoch', 0);

  CREATE TABLE inbox (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL
  ) STRICT;

  CREATE TABLE session (
    key TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    address TEXT NOT NULL,
    title TEXT,
    epoch INTEGER NOT NULL,
    head INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX session_by_update ON session (updated_at_ms);

  CREATE TABLE run (
    id TEXT PRIMARY KEY,
    session_key TEXT NOT NULL REFERENCES session (key),
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    error TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX run_by_session ON run (session_key);

  CREATE TABLE step (
    run_id TEXT NOT NULL REFERENCES run (id),
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run_id, n)
  ) STRICT;

  CREATE TABLE message (
    session_key TEXT NOT NULL REFERENCES session (key),
    seq INTEGER NOT NULL,
    run_id TEXT NOT NULL REFERENCES run (id),
    role TEXT NOT NULL,
    body TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (session_key, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX message_by_run ON message (run_id);

  CREATE TABLE budget (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    used_tokens INTEGER NOT NULL DEFAULT 0,
    held_tokens INTEGER NOT NULL DEFAULT 0,
    used_nano_usd INTEGER NOT NULL DEFAULT 0,
    held_nano_usd INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, period)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE reservation (
    call_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    session_key TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    nano_usd INTEGER NOT NULL,
    lines TEXT NOT NULL,
    noted TEXT,
    at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE ledger (
    n INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL UNIQUE,
    run_id TEXT NOT NULL,
    session_key TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    status TEXT NOT NULL,
    latency_ms REAL NOT NULL,
    at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX ledger_by_time ON ledger (at_ms);
  CREATE INDEX ledger_by_session ON ledger (session_key, at_ms);
  CREATE INDEX ledger_by_run ON ledger (run_id);

  CREATE TABLE plugin_var (
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (plugin, key)
  ) STRICT;
  `,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/** The `user_version` of a database: 0 for a new file, else the number of steps it has run. */
function readSchemaVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
}

/**
 * Says whether this build may open the database, without changing it.
 * @throws {ExoclawError} store_error when a newer version wrote it, or another program did.
 */
export function assertOurs(db: DatabaseSync): void {
  const version = readSchemaVersion(db);
  if (version > SCHEMA_VERSION) {
    throw new ExoclawError(
      'store_error',
      `The store was written by a newer version (schema ${version}, this one knows up to ` +
        `${SCHEMA_VERSION}); upgrade exoclaw, or choose another path in [store]`,
    );
  }
  const application = Number(db.prepare('PRAGMA application_id').get()?.['application_id'] ?? 0);
  const tables = Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'] ?? 0);
  if (tables > 0 && application !== APPLICATION_ID) {
    throw new ExoclawError(
      'store_error',
      'The file of the store is the database of another program; choose another path in [store]',
    );
  }
}

/** Brings a database to `SCHEMA_VERSION`; each step happens whole or not at all. */
export function migrate(db: DatabaseSync): void {
  for (let version = readSchemaVersion(db); version < SCHEMA_VERSION; version += 1) {
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec(MIGRATIONS[version] ?? '');
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version + 1}`);
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}
