/**
 * What `doctor` does with a database file: look at it, and rebuild a damaged one. Nothing is ever
 * thrown away: the damaged files are copied beside the store before anything is written.
 */
import { chmodSync, copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { ExoclawError, toMessage } from '../../lib/error.ts';
import { isDamage, toStoreError } from './error.ts';
import { createPrivateFile, lockDatabase } from './lock.ts';
import { assertOurs, migrate } from './migrations.ts';

export interface StoreCheck {
  /** `refused`: sound, but of a newer version, of another program, or not readable. */
  readonly kind: 'ok' | 'missing' | 'damaged' | 'refused';
  /** One line for each problem; at most ten. */
  readonly problems: readonly string[];
}

export interface StoreRepair {
  /** Path of the copy of the damaged database; undefined when there was nothing to repair. */
  readonly backup: string | undefined;
  /** Rows that were carried over. */
  readonly rows: number;
  /** Tables of which some rows may be gone. */
  readonly incomplete: readonly string[];
}

const MAX_PROBLEMS = 10;
const SIDE_FILES = ['-wal', '-shm'] as const;
/** What an owner of a session may have been given and the damaged file has forgotten. */
const EPOCH_GAP = 1_000_000;

/**
 * Every table with the columns of the tree its rows lie in, so that a damaged index is of no
 * consequence.
 */
const TABLES: readonly (readonly [table: string, key: readonly string[]])[] = [
  ['counter', ['name']],
  ['inbox', ['n']],
  ['session', ['key']],
  ['run', ['id']],
  ['step', ['rowid']],
  ['message', ['session_key', 'seq']],
  ['budget', ['scope', 'period']],
  ['reservation', ['call_id']],
  ['ledger', ['n']],
  ['plugin_var', ['rowid']],
];

/**
 * Makes the rows that were saved consistent again: what the tables promise each other holds.
 * Budget lines that are gone are summed up anew from the ledger, so that damage lifts no limit.
 */
const MEND = `
  DELETE FROM message WHERE session_key NOT IN (SELECT key FROM session);
  DELETE FROM run WHERE session_key NOT IN (SELECT key FROM session);
  INSERT OR IGNORE INTO run (id, session_key, agent_id, state, attempts, started_at_ms, ended_at_ms)
    SELECT m.run_id, s.key, s.agent_id, 'done', 1, min(m.at_ms), max(m.at_ms)
    FROM message m JOIN session s ON s.key = m.session_key GROUP BY m.run_id;
  DELETE FROM run WHERE state = 'started' AND id NOT IN (SELECT run_id FROM message);
  DELETE FROM step WHERE run_id NOT IN (SELECT id FROM run WHERE state = 'started');
  UPDATE message SET seq = -place.n FROM (
    SELECT session_key, seq, row_number() OVER (PARTITION BY session_key ORDER BY seq) AS n
    FROM message
  ) AS place WHERE message.session_key = place.session_key AND message.seq = place.seq;
  UPDATE message SET seq = -seq;
  UPDATE session SET head = (SELECT count(*) FROM message WHERE session_key = session.key);
  UPDATE counter SET value = max(value, (SELECT coalesce(max(epoch), 0) FROM session)) + ${EPOCH_GAP}
    WHERE name = 'epoch';
  DELETE FROM reservation WHERE call_id IN (SELECT call_id FROM ledger);
  INSERT OR IGNORE INTO budget (scope, period, used_tokens, used_nano_usd)
    SELECT scope, period, sum(tokens), sum(nano_usd) FROM (
      SELECT input + output AS tokens, cost_nano_usd AS nano_usd, value ->> 0 AS scope,
        value ->> 1 AS period
      FROM ledger, json_each(json_array(
        json_array('session:' || session_key, 'total'),
        json_array('agent:' || agent_id, strftime('%Y-%m-%d', at_ms / 1000, 'unixepoch')),
        json_array('agent:' || agent_id, strftime('%Y-%m', at_ms / 1000, 'unixepoch')),
        json_array('all', strftime('%Y-%m-%d', at_ms / 1000, 'unixepoch')),
        json_array('all', strftime('%Y-%m', at_ms / 1000, 'unixepoch'))
      ))
    ) GROUP BY scope, period;
  UPDATE budget SET held_tokens = 0, held_nano_usd = 0;
  INSERT INTO budget (scope, period, held_tokens, held_nano_usd)
    SELECT line.value ->> 'scope', line.value ->> 'period', sum(tokens), sum(nano_usd)
    FROM reservation, json_each(lines) AS line WHERE true GROUP BY 1, 2
    ON CONFLICT (scope, period) DO UPDATE SET
      held_tokens = excluded.held_tokens, held_nano_usd = excluded.held_nano_usd;
`;

/** Looks at every page, index and reference of a database; changes nothing, never throws. */
export function checkSqlite(path: string): StoreCheck {
  if (!existsSync(path)) return { kind: 'missing', problems: [] };
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true, timeout: 1000 });
    assertOurs(db);
    const found = [
      ...db.prepare(`PRAGMA integrity_check(${MAX_PROBLEMS})`).all(),
      ...db.prepare('PRAGMA foreign_key_check').all().map(toReferenceProblem),
    ].map((row) => String(row['integrity_check']));
    const problems = found.filter((line) => line !== 'ok').slice(0, MAX_PROBLEMS);
    return { kind: problems.length === 0 ? 'ok' : 'damaged', problems };
  } catch (error) {
    const problem = error instanceof ExoclawError ? error.message : toMessage(error);
    return { kind: isDamage(error) ? 'damaged' : 'refused', problems: [problem] };
  } finally {
    db?.close();
  }
}

function toReferenceProblem(row: Record<string, unknown>): { integrity_check: string } {
  const { table, parent } = row;
  return { integrity_check: `a row of ${String(table)} refers to a missing ${String(parent)}` };
}

/**
 * Copies a damaged database aside, saves what can be read into a new one and puts that in its
 * place. A sound or missing one is left alone.
 * @throws {ExoclawError} store_error when it is in use, refused, or the disk does not allow it.
 */
export function repairSqlite(path: string, nowMs: number): StoreRepair {
  try {
    if (!existsSync(path)) return { backup: undefined, rows: 0, incomplete: [] };
    using _lock = lockDatabase(path);
    const check = checkSqlite(path);
    if (check.kind === 'refused') {
      throw new ExoclawError('store_error', check.problems[0] ?? 'The store cannot be opened');
    }
    if (check.kind !== 'damaged') return { backup: undefined, rows: 0, incomplete: [] };

    const stamp = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
    const backup = `${path}.damaged-${stamp}`;
    for (const suffix of ['', ...SIDE_FILES]) {
      if (existsSync(path + suffix)) copyPrivate(path + suffix, backup + suffix);
    }
    const rebuilt = `${path}.rebuilt`;
    removeDatabase(rebuilt);
    const saved = rebuild(path, rebuilt);
    // The old log must be gone before the new file has the name: it would be replayed into it.
    for (const suffix of SIDE_FILES) rmSync(path + suffix, { force: true });
    renameSync(rebuilt, path);
    return { backup, ...saved };
  } catch (error) {
    throw toStoreError(error);
  }
}

function copyPrivate(from: string, to: string): void {
  copyFileSync(from, to);
  // A copy has the rights of the original.
  chmodSync(to, 0o600);
}

function removeDatabase(path: string): void {
  for (const suffix of ['', '-journal', ...SIDE_FILES]) rmSync(path + suffix, { force: true });
}

function rebuild(from: string, to: string): Pick<StoreRepair, 'rows' | 'incomplete'> {
  createPrivateFile(to);
  using target = new DatabaseSync(to, { enableForeignKeyConstraints: false });
  migrate(target);
  using source = new DatabaseSync(from, { readOnly: true });
  let rows = 0;
  const incomplete: string[] = [];
  target.exec('BEGIN IMMEDIATE');
  for (const [table, key] of TABLES) {
    const saved = saveRows(source, target, table, key);
    rows += saved.rows;
    if (!saved.complete) incomplete.push(table);
  }
  target.exec(MEND);
  target.exec('COMMIT');
  return { rows, incomplete };
}

/** Reads a table from its start to the first damaged page, and if there is one, from its end too. */
function saveRows(
  source: DatabaseSync,
  target: DatabaseSync,
  table: string,
  key: readonly string[],
): { readonly rows: number; readonly complete: boolean } {
  const columns = target
    .prepare(`SELECT name FROM pragma_table_info(?)`)
    .all(table)
    .map((row) => String(row['name']));
  const insert = target.prepare(
    `INSERT OR REPLACE INTO ${table} (${columns.join(', ')})
     VALUES (${columns.map(() => '?').join(', ')})`,
  );
  const count = target.prepare(`SELECT count(*) AS n FROM ${table}`);
  const countRows = (): number => Number(count.get()?.['n'] ?? 0);
  let complete = true;

  for (const direction of ['ASC', 'DESC']) {
    const order = key.map((column) => `${column} ${direction}`).join(', ');
    try {
      const rows = source.prepare(`SELECT * FROM ${table} ORDER BY ${order}`).iterate();
      for (const row of rows) {
        const values = columns.map((column): SQLInputValue => row[column] ?? null);
        try {
          insert.run(...values);
        } catch {
          // This one row is damaged inside; the others need not suffer for it.
          complete = false;
        }
      }
      return { rows: countRows(), complete };
    } catch {
      // A damaged page ends the reading in this direction.
      complete = false;
    }
  }
  return { rows: countRows(), complete };
}
