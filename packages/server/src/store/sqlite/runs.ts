/**
 * The turn protocol. Every begin and commit writes the epoch into the session row, so that two
 * owners of one session always meet on that row, and the one with the lower epoch is turned away.
 */
import { z } from 'zod';
import { ExoclawError } from '../../lib/error.ts';
import type { InboundMessage, RunRecord, Store } from '../store.ts';
import type { Database } from './open.ts';
import { jsonColumn, orUndefined, parseRow, parseRows, stepSchema } from './rows.ts';
import { createMessageWriter } from './sessions.ts';

const runRow = z
  .object({
    id: z.string(),
    session_key: z.string(),
    agent_id: z.string(),
    state: z.enum(['started', 'done', 'failed', 'aborted', 'dead']),
    attempts: z.int(),
    started_at_ms: z.number(),
    ended_at_ms: orUndefined(z.number()),
    error: orUndefined(jsonColumn(z.object({ code: z.string(), message: z.string() }))),
  })
  .transform((row): RunRecord => ({
    id: row.id,
    sessionKey: row.session_key,
    agentId: row.agent_id,
    state: row.state,
    attempts: row.attempts,
    startedAtMs: row.started_at_ms,
    endedAtMs: row.ended_at_ms,
    error: row.error,
  }));

const headRow = z.object({ epoch: z.int(), head: z.int() });
const stepRow = z.object({ body: jsonColumn(stepSchema) });
const valueRow = z.object({ value: z.int() });

export function createRuns(
  db: Database,
): Pick<Store, 'nextEpoch' | 'beginRun' | 'journalStep' | 'commitRun' | 'getRun'> {
  const takeEpoch = db.prepare(
    `UPDATE counter SET value = value + 1 WHERE name = 'epoch' RETURNING value`,
  );
  const headOf = db.prepare('SELECT epoch, head FROM session WHERE key = ?');
  const createSession = db.prepare(
    `INSERT INTO session (key, agent_id, address, title, epoch, head, created_at_ms, updated_at_ms)
     VALUES (?, ?, ?, NULL, ?, 0, ?, ?)`,
  );
  const touchSession = db.prepare(
    'UPDATE session SET epoch = ?, head = ?, updated_at_ms = ? WHERE key = ?',
  );
  const get = db.prepare('SELECT * FROM run WHERE id = ?');
  const insert = db.prepare(
    `INSERT INTO run (id, session_key, agent_id, state, attempts, started_at_ms)
     VALUES (?, ?, ?, 'started', 1, ?)`,
  );
  const retry = db.prepare('UPDATE run SET attempts = attempts + 1 WHERE id = ?');
  const end = db.prepare('UPDATE run SET state = ?, ended_at_ms = ?, error = ? WHERE id = ?');
  const steps = db.prepare('SELECT body FROM step WHERE run_id = ? ORDER BY n');
  const deleteSteps = db.prepare('DELETE FROM step WHERE run_id = ?');
  // A step said twice is the same step: an answer when it is the newest one, anything else when
  // it is there since the newest answer (some models use the same call ids in every answer).
  const appendStep = db.prepare(
    `INSERT INTO step (run_id, n, kind, body)
     SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3 FROM step WHERE run_id = ?1
     HAVING NOT EXISTS (
       SELECT 1 FROM step WHERE run_id = ?1 AND body = ?3 AND n >= (
         SELECT coalesce(max(n), 0) FROM step
         WHERE run_id = ?1 AND (?2 = 'answer' OR kind = 'answer')
       )
     )`,
  );
  const writeMessage = createMessageWriter(db);

  const findRun = (id: string): RunRecord | undefined => {
    const row = get.get(id);
    return row === undefined ? undefined : parseRow(runRow, row);
  };
  const readHead = (sessionKey: string) => {
    const row = headOf.get(sessionKey);
    return row === undefined ? undefined : parseRow(headRow, row);
  };

  const create = (message: InboundMessage, epoch: number, head: number, atMs: number): void => {
    const { id, sessionKey, agentId } = message;
    insert.run(id, sessionKey, agentId, atMs);
    const question = { role: 'user', content: message.content } as const;
    writeMessage(sessionKey, head + 1, id, question, message.acceptedAtMs);
    touchSession.run(epoch, head + 1, atMs, sessionKey);
  };

  return {
    nextEpoch: () => db.write(() => parseRow(valueRow, takeEpoch.get()).value),

    beginRun: (message, epoch, atMs) =>
      db.write(() => {
        const { id, sessionKey, agentId, address } = message;
        const run = findRun(id);
        if (run !== undefined && run.sessionKey !== sessionKey) {
          throw new ExoclawError('store_error', `Run "${id}" belongs to another session`);
        }
        const session = readHead(sessionKey);
        if (session !== undefined && session.epoch > epoch) {
          return { kind: 'fenced', epoch: session.epoch };
        }
        if (session === undefined) {
          createSession.run(sessionKey, agentId, JSON.stringify(address), epoch, atMs, atMs);
        }
        const head = session?.head ?? 0;
        if (run === undefined) {
          create(message, epoch, head, atMs);
          return { kind: 'new' };
        }
        if (run.state !== 'started') return { kind: 'ended', run };
        retry.run(id);
        touchSession.run(epoch, head, atMs, sessionKey);
        return {
          kind: 'retry',
          attempts: run.attempts + 1,
          steps: parseRows(stepRow, steps.all(id)).map(({ body }) => body),
        };
      }),

    journalStep: (runId, epoch, step) =>
      db.write(() => {
        const run = findRun(runId);
        if (run?.state !== 'started') {
          throw new ExoclawError('store_error', `Run "${runId}" is not going on`);
        }
        if (readHead(run.sessionKey)?.epoch !== epoch) {
          throw new ExoclawError('store_error', `Run "${runId}" was taken over by another process`);
        }
        appendStep.run(runId, step.kind, JSON.stringify(step));
      }),

    commitRun: ({ id, sessionKey, epoch, state, messages, error, atMs }) =>
      db.write(() => {
        const run = findRun(id);
        const session = readHead(sessionKey);
        if (run === undefined || session === undefined || run.sessionKey !== sessionKey) {
          throw new ExoclawError('store_error', `Run "${id}" was not begun in this session`);
        }
        if (session.epoch !== epoch) return 'fenced';
        if (run.state !== 'started') return 'duplicate';
        let { head } = session;
        for (const message of messages) writeMessage(sessionKey, (head += 1), id, message, atMs);
        touchSession.run(epoch, head, atMs, sessionKey);
        end.run(state, atMs, error === undefined ? null : JSON.stringify(error), id);
        deleteSteps.run(id);
        return 'committed';
      }),

    getRun: (id) => db.read(() => findRun(id)),
  };
}
