/**
 * Budget counters. A reservation holds its estimate on every line it names or on none; settling it
 * turns the hold into use, in the same transaction that writes the ledger row. Hence a line's
 * `used` is at all times the sum of the ledger rows charged to it, and its `held` the sum of the
 * open reservations.
 */
import { z } from 'zod';
import type { BudgetUse, Reservation, Store, TokenUsage } from '../store.ts';
import type { Ledger } from './ledger.ts';
import type { Database } from './open.ts';
import { jsonColumn, orUndefined, parseRow, parseRows, usageSchema } from './rows.ts';

const budgetRow = z
  .object({
    scope: z.string(),
    period: z.string(),
    used_tokens: z.int(),
    held_tokens: z.int(),
    used_nano_usd: z.int(),
    held_nano_usd: z.int(),
  })
  .transform((row): BudgetUse => ({
    scope: row.scope,
    period: row.period,
    usedTokens: row.used_tokens,
    heldTokens: row.held_tokens,
    usedNanoUsd: row.used_nano_usd,
    heldNanoUsd: row.held_nano_usd,
  }));

const linesColumn = jsonColumn(z.array(z.object({ scope: z.string(), period: z.string() })));

const heldRow = z.object({ tokens: z.int(), nano_usd: z.int(), lines: linesColumn });

type OpenReservation = Omit<Reservation, 'lines' | 'noted'> & {
  readonly noted: TokenUsage | undefined;
};

const reservationRow = z
  .object({
    call_id: z.string(),
    run_id: z.string(),
    session_key: z.string(),
    agent_id: z.string(),
    provider: z.string(),
    model: z.string(),
    tokens: z.int(),
    nano_usd: z.int(),
    noted: orUndefined(jsonColumn(usageSchema)),
    at_ms: z.number(),
  })
  .transform((row): OpenReservation => ({
    callId: row.call_id,
    runId: row.run_id,
    sessionKey: row.session_key,
    agentId: row.agent_id,
    provider: row.provider,
    model: row.model,
    tokens: row.tokens,
    nanoUsd: row.nano_usd,
    noted: row.noted,
    atMs: row.at_ms,
  }));

/** Whether `amount` more would pass a limit; no limit is never passed. */
function passes(used: number, held: number, amount: number, limit: number | undefined): boolean {
  return limit !== undefined && used + held + amount > limit;
}

export function createBudgets(
  db: Database,
  ledger: Ledger,
): Pick<Store, 'reserve' | 'noteUsage' | 'settle' | 'listReservations' | 'readBudgets'> {
  const get = db.prepare('SELECT * FROM budget WHERE scope = ? AND period = ?');
  const hold = db.prepare(
    `INSERT INTO budget (scope, period, held_tokens, held_nano_usd) VALUES (?, ?, ?, ?)
     ON CONFLICT (scope, period) DO UPDATE SET
       held_tokens = held_tokens + excluded.held_tokens,
       held_nano_usd = held_nano_usd + excluded.held_nano_usd`,
  );
  const charge = db.prepare(
    `UPDATE budget SET
       held_tokens = held_tokens - ?, held_nano_usd = held_nano_usd - ?,
       used_tokens = used_tokens + ?, used_nano_usd = used_nano_usd + ?
     WHERE scope = ? AND period = ?`,
  );
  const insert = db.prepare(
    `INSERT INTO reservation
       (call_id, run_id, session_key, agent_id, provider, model, tokens, nano_usd, lines, noted, at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const known = db.prepare(
    `SELECT 1 FROM reservation WHERE call_id = ?1
     UNION ALL SELECT 1 FROM ledger WHERE call_id = ?1`,
  );
  const note = db.prepare('UPDATE reservation SET noted = ? WHERE call_id = ?');
  const release = db.prepare(
    'DELETE FROM reservation WHERE call_id = ? RETURNING tokens, nano_usd, lines',
  );
  const list = db.prepare('SELECT * FROM reservation ORDER BY at_ms, call_id');

  const readUse = (scope: string, period: string): BudgetUse => {
    const row = get.get(scope, period);
    if (row !== undefined) return parseRow(budgetRow, row);
    return { scope, period, usedTokens: 0, heldTokens: 0, usedNanoUsd: 0, heldNanoUsd: 0 };
  };

  return {
    reserve: ({ lines, tokens, nanoUsd, ...call }) =>
      db.write((undo) => {
        if (known.get(call.callId) !== undefined) return { kind: 'reserved' };
        for (const line of lines) {
          const hasLimit = line.limitTokens !== undefined || line.limitNanoUsd !== undefined;
          const use = hasLimit ? readUse(line.scope, line.period) : undefined;
          if (
            use !== undefined &&
            (passes(use.usedTokens, use.heldTokens, tokens, line.limitTokens) ||
              passes(use.usedNanoUsd, use.heldNanoUsd, nanoUsd, line.limitNanoUsd))
          ) {
            undo();
            return { kind: 'exceeded', line, use };
          }
          hold.run(line.scope, line.period, tokens, nanoUsd);
        }
        insert.run(
          call.callId,
          call.runId,
          call.sessionKey,
          call.agentId,
          call.provider,
          call.model,
          tokens,
          nanoUsd,
          JSON.stringify(lines.map(({ scope, period }) => ({ scope, period }))),
          call.noted === undefined ? null : JSON.stringify(call.noted),
          call.atMs,
        );
        return { kind: 'reserved' };
      }),

    noteUsage: (callId, usage) =>
      db.write(() => {
        note.run(JSON.stringify(usage), callId);
      }),

    settle: (row) =>
      db.write(() => {
        if (!ledger.insert(row)) return;
        const released = release.get(row.callId);
        if (released === undefined) return;
        const { tokens, nano_usd: nanoUsd, lines } = parseRow(heldRow, released);
        const used = row.usage.input + row.usage.output;
        for (const { scope, period } of lines) {
          charge.run(tokens, nanoUsd, used, row.costNanoUsd, scope, period);
        }
      }),

    listReservations: () => db.read(() => parseRows(reservationRow, list.all())),

    readBudgets: (lines) => db.read(() => lines.map(({ scope, period }) => readUse(scope, period))),
  };
}
