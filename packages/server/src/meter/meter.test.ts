import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { openSqliteStore } from '../store/sqlite/sqlite.ts';
import type { Store } from '../store/store.ts';
import type { BudgetLimits } from './budget.ts';
import { createMeter, type Meter, type ReserveCall, type SettleCall } from './meter.ts';
import { createPrices } from './price.ts';

const NOON_MS = Date.UTC(2026, 10, 22, 12);
const MODEL = { provider: 'openai', model: 'test' } as const;
/** USD 1 and 10 per million: 1000 and 10 000 nano-dollars a token. */
const PRICES = createPrices(() => [{ ...MODEL, input: 1, output: 10, cacheRead: 0.1 }]);
const NONE = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };

function makeCall(callId: string, changes: Partial<ReserveCall> = {}): ReserveCall {
  return {
    callId,
    runId: 'run',
    sessionKey: 's',
    agentId: 'main',
    model: MODEL,
    inputTokens: 100,
    maxOutputTokens: 500,
    ...changes,
  };
}

function makeEnd(callId: string, changes: Partial<SettleCall> = {}): SettleCall {
  return {
    callId,
    model: MODEL,
    usage: { ...NONE, input: 80, output: 20 },
    sentTokens: 100,
    receivedText: '',
    status: 'ok',
    latencyMs: 5,
    ...changes,
  };
}

interface Setup extends AsyncDisposable {
  readonly store: Store;
  readonly meter: Meter;
  budgets: BudgetLimits;
  nowMs: number;
}

async function setUp(budgets: BudgetLimits = {}, path = ':memory:'): Promise<Setup> {
  const store = await openSqliteStore({ path });
  const setup = { budgets, nowMs: NOON_MS };
  const meter = createMeter({
    store,
    clock: { now: () => setup.nowMs },
    prices: PRICES,
    budgets: () => setup.budgets,
  });
  return Object.assign(setup, {
    store,
    meter,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  });
}

/** Reserves and settles a call that takes so many input tokens. */
async function spend(meter: Meter, callId: string, tokens: number): Promise<void> {
  await meter.reserve(makeCall(callId, { inputTokens: tokens, maxOutputTokens: 0 }));
  await meter.settle(makeEnd(callId, { usage: { ...NONE, input: tokens } }));
}

async function refuse(meter: Meter, changes: Partial<ReserveCall> = {}): Promise<string> {
  const result = await meter.reserve(makeCall('refused', changes));
  assert.ok(result.kind === 'exceeded', result.kind);
  return result.message;
}

suite('reserve()', () => {
  test('lets 200 calls at once into a budget exactly as far as it goes', async () => {
    await using setup = await setUp({ daily: 30_000 });
    const { meter } = setup;
    const calls = Array.from({ length: 200 }, (_, n) =>
      makeCall(`c${n}`, { sessionKey: `s${n % 7}`, maxOutputTokens: 500 }),
    );
    const results = await Promise.all(calls.map((call) => meter.reserve(call)));
    assert.equal(results.filter(({ kind }) => kind === 'reserved').length, 50);
    const [status] = await meter.budgetStatus();
    assert.deepEqual([status?.used, status?.held, status?.limit], [0, 30_000, 30_000]);
  });

  test('cuts the answer to the room that is left, down to a least length', async () => {
    await using setup = await setUp({ session: 10_000 });
    const { meter } = setup;
    await spend(meter, 'c1', 8000);
    const result = await meter.reserve(makeCall('c2', { maxOutputTokens: 4096 }));
    assert.deepEqual(result, { kind: 'reserved', maxOutputTokens: 1900 });
    await meter.settle(makeEnd('c2', { usage: { ...NONE, input: 100, output: 1400 } }));
    assert.match(await refuse(meter, { maxOutputTokens: 4096 }), /^token budget exceeded/);
  });

  test('cuts the answer to the money that is left', async () => {
    await using setup = await setUp({ usdDaily: 0.01 });
    const result = await setup.meter.reserve(makeCall('c1', { maxOutputTokens: 4096 }));
    // 0.01 USD less 100 tokens in, at 10 000 nano-dollars a token out.
    assert.deepEqual(result, { kind: 'reserved', maxOutputTokens: 990 });
  });

  test('names the budget in the way, what to do, and when it starts anew', async () => {
    await using setup = await setUp({ session: 10_000 });
    const { meter } = setup;
    await spend(meter, 'c1', 9500);
    assert.equal(
      await refuse(meter),
      'token budget exceeded (session: 9500/10000). The next call may need 600 tokens; ' +
        'start a new session, or raise "budgets.session"',
    );
    setup.budgets = { daily: 9600 };
    const result = await meter.reserve(makeCall('c2'));
    assert.deepEqual(result, {
      kind: 'exceeded',
      message:
        'token budget exceeded (daily: 9500/9600). The next call may need 600 tokens; ' +
        'wait until 2026-11-23 00:00 UTC, or raise "budgets.daily"',
      resetsAtMs: Date.UTC(2026, 10, 23),
    });
    setup.budgets = { monthly: 9600 };
    assert.match(await refuse(meter), /\(monthly: 9500\/9600\).* 2026-12-01 00:00 UTC/);
    setup.budgets = { agents: { main: { daily: 9600 } } };
    assert.match(
      await refuse(meter),
      /\(agent main daily: 9500\/9600\).*, or raise "budgets\.daily" of agent "main"$/,
    );
    setup.budgets = { session: 1e6, agents: { main: { session: 9600 } } };
    assert.match(await refuse(meter), /\(session: 9500\/9600\).* of agent "main"$/);
    setup.budgets = { daily: 9600, agents: { main: { daily: 1e6 } } };
    assert.match(await refuse(meter), /\(daily: 9500\/9600\)/);
  });

  test('says money in dollars', async () => {
    await using setup = await setUp({ usdDaily: 5 });
    const { meter } = setup;
    await spend(meter, 'c1', 4_980_000);
    assert.match(
      await refuse(meter, { inputTokens: 30_000 }),
      /^token budget exceeded \(daily: \$4\.98\/\$5\.00\)\. .* "budgets\.usd_daily"$/,
    );
    setup.budgets = { usdMonthly: 5 };
    assert.match(await refuse(meter, { inputTokens: 30_000 }), /\(monthly: \$4\.98\/\$5\.00\)/);
  });

  test('holds nothing for a call that was refused', async () => {
    await using setup = await setUp({ session: 100 });
    await refuse(setup.meter);
    assert.deepEqual(await setup.store.listReservations(), []);
    assert.equal((await setup.meter.budgetStatus('s'))[0]?.held, 0);
  });

  test('in any order of calls no budget is passed, and what was used is the ledger', async () => {
    const call = fc.record({
      session: fc.nat(2),
      inputTokens: fc.nat(300),
      maxOutputTokens: fc.nat(900),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      settles: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
        await using setup = await setUp({ session: 1500, daily: 3000, usdDaily: 0.02 });
        const { meter, store } = setup;
        await Promise.all(
          calls.map(async ({ session, share, settles, ...sizes }, n) => {
            const sessionKey = `s${session}`;
            const reserved = await meter.reserve(makeCall(`c${n}`, { ...sizes, sessionKey }));
            if (reserved.kind === 'exceeded' || !settles) return;
            const output = Math.floor(reserved.maxOutputTokens * share);
            const usage = { ...NONE, input: sizes.inputTokens, output };
            await meter.settle(makeEnd(`c${n}`, { usage }));
          }),
        );
        for (const sessionKey of ['s0', 's1', 's2']) {
          for (const { used, held, limit } of await meter.budgetStatus(sessionKey)) {
            assert.ok(used + held <= limit);
          }
        }
        const [sum] = await store.sumUsage({});
        const [tokens, usd] = await meter.budgetStatus();
        assert.equal(tokens?.used, (sum?.input ?? 0) + (sum?.output ?? 0));
        assert.equal(usd?.used, (sum?.costNanoUsd ?? 0) / 1e9);
      }),
      { numRuns: 30 },
    );
  });
});

suite('settle()', () => {
  test('charges the figures of the provider and writes them to the ledger', async () => {
    await using setup = await setUp({ daily: 1000 });
    const { meter, store } = setup;
    await meter.reserve(makeCall('c1'));
    setup.nowMs += 60_000;
    const usage = { input: 90, output: 30, cacheRead: 50, cacheWrite: 0 };
    assert.deepEqual(await meter.settle(makeEnd('c1', { usage })), {
      usage,
      costNanoUsd: 40_000 + 5000 + 300_000,
      estimated: false,
    });
    assert.deepEqual(await store.listUsage({ limit: 5 }), [
      {
        callId: 'c1',
        runId: 'run',
        sessionKey: 's',
        agentId: 'main',
        provider: 'openai',
        model: 'test',
        usage,
        costNanoUsd: 345_000,
        estimated: false,
        status: 'ok',
        latencyMs: 5,
        atMs: NOON_MS,
      },
    ]);
    const [status] = await meter.budgetStatus();
    assert.deepEqual([status?.used, status?.held], [120, 0]);
    await assert.rejects(meter.settle(makeEnd('c1')), { code: 'internal' });
  });

  test('estimates from what went over the wire where figures are missing or half', async () => {
    await using setup = await setUp();
    const { meter } = setup;
    const settle = async (
      changes: Partial<SettleCall>,
      noted?: SettleCall['usage'],
    ): Promise<string> => {
      await meter.reserve(makeCall('c'));
      if (noted !== undefined) await meter.note('c', noted);
      const { usage, estimated } = await meter.settle(makeEnd('c', changes));
      return `${usage.input} ${usage.output} ${estimated}`;
    };
    const missing = { usage: undefined };
    const half = { ...NONE, input: 85, output: 1 };
    const receivedText = 'one two three';
    assert.equal(await settle({ ...missing, receivedText }), '100 3 true');
    assert.equal(await settle({ ...missing, receivedText }, half), '85 3 true');
    assert.equal(await settle({ ...missing, status: 'aborted' }), '100 0 true');
    assert.equal(await settle({ usage: half, receivedText, status: 'aborted' }), '85 3 true');
    assert.equal(await settle({ ...missing, receivedText, status: 'error' }), '100 3 true');
    assert.equal(await settle({ ...missing, status: 'error' }), '0 0 false');
    assert.equal(await settle({}, half), '80 20 false');
  });

  test('makes broken figures whole', async () => {
    await using setup = await setUp();
    await setup.meter.reserve(makeCall('c'));
    const usage = { input: 10.4, output: -3, cacheRead: 8, cacheWrite: Number.NaN };
    const settled = await setup.meter.settle(makeEnd('c', { usage }));
    assert.deepEqual(settled.usage, { input: 10, output: 0, cacheRead: 8, cacheWrite: 0 });
  });

  test('charges the day the call was made on, also after midnight', async () => {
    await using setup = await setUp({ daily: 1000, monthly: 1000 });
    const { meter } = setup;
    setup.nowMs = Date.UTC(2026, 11, 1) - 1;
    await meter.reserve(makeCall('c1', { inputTokens: 400 }));
    assert.match(await refuse(meter), /daily/);
    setup.nowMs = Date.UTC(2026, 11, 1);
    await meter.settle(makeEnd('c1', { usage: { ...NONE, input: 900 } }));
    assert.deepEqual(
      (await meter.budgetStatus()).map(({ used, held }) => [used, held]),
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.equal((await meter.reserve(makeCall('c2'))).kind, 'reserved');
    setup.nowMs -= 1;
    assert.match(await refuse(meter), /daily: 900\/1000/);
  });
});

suite('recover()', () => {
  test('settles what a dead process left, with the figures that had arrived', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'exoclaw-meter-'));
    try {
      const path = join(folder, 'exoclaw.db');
      {
        await using died = await setUp({ daily: 10_000 }, path);
        await died.meter.reserve(makeCall('noted'));
        await died.meter.note('noted', { ...NONE, input: 85, output: 1 });
        await died.meter.reserve(makeCall('silent'));
        await died.meter.reserve(makeCall('done'));
        await died.meter.settle(makeEnd('done'));
      }
      await using setup = await setUp({ daily: 10_000 }, path);
      const { meter, store } = setup;
      setup.nowMs += 1000;
      await meter.reserve(makeCall('new'));
      assert.equal((await meter.budgetStatus())[0]?.held, 1800);
      assert.equal(await meter.recover(), 2);
      assert.equal(await meter.recover(), 0);
      const rows = await store.listUsage({ limit: 9 });
      assert.deepEqual(
        rows.map(({ callId, status, usage, estimated, atMs }) => [
          callId,
          status,
          usage.input,
          usage.output,
          estimated,
          atMs,
        ]),
        [
          ['silent', 'interrupted', 100, 0, true, NOON_MS],
          ['noted', 'interrupted', 85, 1, true, NOON_MS],
          ['done', 'ok', 80, 20, false, NOON_MS],
        ],
      );
      const [status] = await meter.budgetStatus();
      assert.deepEqual([status?.used, status?.held], [100 + 86 + 100, 600]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

suite('budgetStatus()', () => {
  test('lists the limits that are set, and what was used before they were', async () => {
    await using setup = await setUp();
    const { meter } = setup;
    await spend(meter, 'c1', 500);
    assert.deepEqual(await meter.budgetStatus('s', 'main'), []);
    setup.budgets = { session: 1000, usdDaily: 1, agents: { main: { monthly: 2000 } } };
    const month = { used: 500, held: 0, resetsAtMs: Date.UTC(2026, 11, 1) };
    const session = { scope: 'session', id: 's', period: 'session', unit: 'tokens' };
    const agent = { scope: 'agent', id: 'main', period: 'month', unit: 'tokens' };
    const all = { scope: 'all', id: undefined, period: 'day', unit: 'usd' };
    const usd = { used: 0.0005, held: 0, limit: 1, resetsAtMs: Date.UTC(2026, 10, 23) };
    assert.deepEqual(await meter.budgetStatus('s', 'main'), [
      { ...session, used: 500, held: 0, limit: 1000, resetsAtMs: undefined },
      { ...agent, ...month, limit: 2000 },
      { ...all, ...usd },
    ]);
    assert.deepEqual(await meter.budgetStatus(), [{ ...all, ...usd }]);
  });
});
