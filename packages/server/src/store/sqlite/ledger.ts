/** One row per model call, never changed afterwards, and the sums over them. */
import type { SQLInputValue, StatementSync } from 'node:sqlite';
import { z } from 'zod';
import type { LedgerRow, Store, UsageGroup, UsageQuery, UsageSum } from '../store.ts';
import type { Database } from './open.ts';
import { parseRow, parseRows } from './rows.ts';

const flag = z.number().transform((value) => value !== 0);

const ledgerRow = z
  .object({
    call_id: z.string(),
    run_id: z.string(),
    session_key: z.string(),
    agent_id: z.string(),
    provider: z.string(),
    model: z.string(),
    input: z.int(),
    output: z.int(),
    cache_read: z.int(),
    cache_write: z.int(),
    cost_nano_usd: z.int(),
    estimated: flag,
    status: z.enum(['ok', 'error', 'aborted', 'interrupted']),
    latency_ms: z.number(),
    at_ms: z.number(),
  })
  .transform((row): LedgerRow => ({
    callId: row.call_id,
    runId: row.run_id,
    sessionKey: row.session_key,
    agentId: row.agent_id,
    provider: row.provider,
    model: row.model,
    usage: {
      input: row.input,
      output: row.output,
      cacheRead: row.cache_read,
      cacheWrite: row.cache_write,
    },
    costNanoUsd: row.cost_nano_usd,
    estimated: row.estimated,
    status: row.status,
    latencyMs: row.latency_ms,
    atMs: row.at_ms,
  }));

const sumRow = z
  .object({
    key: z.string(),
    calls: z.int(),
    input: z.int(),
    output: z.int(),
    cache_read: z.int(),
    cache_write: z.int(),
    cost_nano_usd: z.int(),
    estimated: flag,
  })
  .transform(({ cache_read, cache_write, cost_nano_usd, ...row }): UsageSum => ({
    ...row,
    cacheRead: cache_read,
    cacheWrite: cache_write,
    costNanoUsd: cost_nano_usd,
  }));

const GROUP_KEYS: Readonly<Record<UsageGroup, string>> = {
  day: `strftime('%Y-%m-%d', at_ms / 1000, 'unixepoch')`,
  model: `provider || '/' || model`,
  agent: 'agent_id',
  session: 'session_key',
};

const SUMS = `
  count(*) AS calls,
  coalesce(sum(input), 0) AS input,
  coalesce(sum(output), 0) AS output,
  coalesce(sum(cache_read), 0) AS cache_read,
  coalesce(sum(cache_write), 0) AS cache_write,
  coalesce(sum(cost_nano_usd), 0) AS cost_nano_usd,
  coalesce(max(estimated), 0) AS estimated`;

/** `from` is inside, `to` is not: two adjoining ranges count no call twice. */
function toCondition(query: UsageQuery): { sql: string; values: readonly SQLInputValue[] } {
  const parts: readonly (readonly [string, SQLInputValue | undefined])[] = [
    ['at_ms >= ?', query.fromMs],
    ['at_ms < ?', query.toMs],
    ['session_key = ?', query.sessionKey],
    ['agent_id = ?', query.agentId],
    ['run_id = ?', query.runId],
  ];
  const terms: string[] = [];
  const values: SQLInputValue[] = [];
  for (const [term, value] of parts) {
    if (value === undefined) continue;
    terms.push(term);
    values.push(value);
  }
  return { sql: terms.length === 0 ? 'true' : terms.join(' AND '), values };
}

export interface Ledger extends Pick<Store, 'sumUsage' | 'listUsage'> {
  /** @returns false when the call is in the ledger already. Call it inside a transaction. */
  insert(row: LedgerRow): boolean;
}

export function createLedger(db: Database): Ledger {
  const insert = db.prepare(
    `INSERT INTO ledger (call_id, run_id, session_key, agent_id, provider, model, input, output,
       cache_read, cache_write, cost_nano_usd, estimated, status, latency_ms, at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (call_id) DO NOTHING`,
  );
  // The texts differ only in which of the five conditions and four groups they have, so this
  // stays small.
  const prepared = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    const statement = prepared.get(sql) ?? db.prepare(sql);
    prepared.set(sql, statement);
    return statement;
  };

  return {
    insert: ({ usage, ...row }) =>
      insert.run(
        row.callId,
        row.runId,
        row.sessionKey,
        row.agentId,
        row.provider,
        row.model,
        usage.input,
        usage.output,
        usage.cacheRead,
        usage.cacheWrite,
        row.costNanoUsd,
        row.estimated ? 1 : 0,
        row.status,
        row.latencyMs,
        row.atMs,
      ).changes === 1,

    sumUsage: (query, group) =>
      db.read(() => {
        const { sql, values } = toCondition(query);
        if (group === undefined) {
          const total = prepare(`SELECT '' AS key, ${SUMS} FROM ledger WHERE ${sql}`);
          return [parseRow(sumRow, total.get(...values))];
        }
        const groups = prepare(
          `SELECT ${GROUP_KEYS[group]} AS key, ${SUMS} FROM ledger WHERE ${sql}
           GROUP BY key ORDER BY key`,
        );
        return parseRows(sumRow, groups.all(...values));
      }),

    listUsage: ({ limit, ...query }) =>
      db.read(() => {
        const { sql, values } = toCondition(query);
        const newest = prepare(
          `SELECT * FROM ledger WHERE ${sql} ORDER BY at_ms DESC, n DESC LIMIT ?`,
        );
        return parseRows(ledgerRow, newest.all(...values, limit));
      }),
  };
}
