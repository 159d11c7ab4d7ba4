/**
 * Sessions and their history. Messages of a session are numbered from 1 without a gap, so that
 * `session.head` is both the newest number and the count.
 */
import { z } from 'zod';
import type { Message, SessionRecord, Store, StoredMessage } from '../store.ts';
import type { Database } from './open.ts';
import {
  addressSchema,
  jsonColumn,
  orUndefined,
  parseMessage,
  parseRow,
  parseRows,
} from './rows.ts';

const sessionRow = z
  .object({
    key: z.string(),
    agent_id: z.string(),
    address: jsonColumn(addressSchema),
    title: orUndefined(z.string()),
    head: z.int(),
    created_at_ms: z.number(),
    updated_at_ms: z.number(),
  })
  .transform((row): SessionRecord => ({
    key: row.key,
    agentId: row.agent_id,
    address: row.address,
    title: row.title,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    messageCount: row.head,
  }));

// The table is STRICT, so its plain columns are what they were declared to be.
function toStoredMessage(row: Record<string, unknown>): StoredMessage {
  return {
    seq: Number(row['seq']),
    runId: String(row['run_id']),
    atMs: Number(row['at_ms']),
    message: parseMessage(row['body']),
  };
}

const seqRow = z.object({ seq: z.int() });
const countRow = z.object({ count: z.int() });

/** Writes messages of a run; call it inside a transaction that also sets `session.head`. */
export function createMessageWriter(db: Database) {
  const insert = db.prepare(
    `INSERT INTO message (session_key, seq, run_id, role, body, at_ms)
     VALUES (?, ?, ?, ?, ?, ?)`,
  );
  return (sessionKey: string, seq: number, runId: string, message: Message, atMs: number): void => {
    insert.run(sessionKey, seq, runId, message.role, JSON.stringify(message), atMs);
  };
}

export function createSessions(
  db: Database,
): Pick<
  Store,
  | 'getSession'
  | 'listSessions'
  | 'countSessions'
  | 'renameSession'
  | 'clearSession'
  | 'readMessages'
  | 'readRun'
> {
  const get = db.prepare('SELECT * FROM session WHERE key = ?');
  const list = db.prepare(
    'SELECT * FROM session WHERE updated_at_ms < ? ORDER BY updated_at_ms DESC LIMIT ?',
  );
  const listOfAgent = db.prepare(
    `SELECT * FROM session WHERE agent_id = ? AND updated_at_ms < ?
     ORDER BY updated_at_ms DESC LIMIT ?`,
  );
  const count = db.prepare('SELECT count(*) AS count FROM session');
  const rename = db.prepare('UPDATE session SET title = ? WHERE key = ?');
  const before = db.prepare(
    `SELECT seq, run_id, body, at_ms FROM message
     WHERE session_key = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
  );
  const ofRun = db.prepare(
    'SELECT seq, run_id, body, at_ms FROM message WHERE run_id = ? ORDER BY seq',
  );

  const deleteMessages = db.prepare(
    `DELETE FROM message WHERE session_key = ?1
     AND run_id IN (SELECT id FROM run WHERE session_key = ?1 AND state <> 'started')`,
  );
  const deleteRuns = db.prepare(`DELETE FROM run WHERE session_key = ? AND state <> 'started'`);
  // An answered message may still lie there; without its run it would be answered again.
  const deleteInbox = db.prepare(
    `DELETE FROM inbox
     WHERE id IN (SELECT id FROM run WHERE session_key = ? AND state <> 'started')`,
  );
  const kept = db.prepare('SELECT seq FROM message WHERE session_key = ? ORDER BY seq');
  const renumber = db.prepare('UPDATE message SET seq = ? WHERE session_key = ? AND seq = ?');
  const setHead = db.prepare('UPDATE session SET head = ? WHERE key = ?');

  return {
    getSession: (key) =>
      db.read(() => {
        const row = get.get(key);
        return row === undefined ? undefined : parseRow(sessionRow, row);
      }),

    listSessions: ({ limit, before: beforeMs = Number.MAX_SAFE_INTEGER, agentId }) =>
      db.read(() =>
        parseRows(
          sessionRow,
          agentId === undefined
            ? list.all(beforeMs, limit)
            : listOfAgent.all(agentId, beforeMs, limit),
        ),
      ),

    countSessions: () => db.read(() => parseRow(countRow, count.get()).count),

    renameSession: (key, title) => db.write(() => rename.run(title, key).changes === 1),

    clearSession: (key) =>
      db.write(() => {
        const deleted = Number(deleteMessages.run(key).changes);
        deleteInbox.run(key);
        deleteRuns.run(key);
        // A run that is going on keeps its question, which moves to the front.
        const left = parseRows(seqRow, kept.all(key));
        for (const [index, { seq }] of left.entries()) renumber.run(index + 1, key, seq);
        setHead.run(left.length, key);
        return deleted;
      }),

    readMessages: (key, { limit, beforeSeq = Number.MAX_SAFE_INTEGER }) =>
      db.read(() => before.all(key, beforeSeq, limit).map(toStoredMessage).toReversed()),

    readRun: (runId) => db.read(() => ofRun.all(runId).map(toStoredMessage)),
  };
}
