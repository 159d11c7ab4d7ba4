/** The ledger and the sums over it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../store.ts';
import { DAY_MS, makeLedgerRow, type OpenStore } from './harness.ts';

const HOUR_MS = 3_600_000;

async function fill(store: Store): Promise<void> {
  await store.settle(makeLedgerRow('c1', { atMs: DAY_MS - 1, agentId: 'other' }));
  await store.settle(makeLedgerRow('c2', { atMs: DAY_MS, model: 'haiku', estimated: true }));
  await store.settle(makeLedgerRow('c3', { atMs: DAY_MS + HOUR_MS, sessionKey: 's2' }));
  await store.settle(makeLedgerRow('c4', { atMs: DAY_MS + 24 * HOUR_MS - 1, runId: 'run-2' }));
  await store.settle(makeLedgerRow('c5', { atMs: DAY_MS + 24 * HOUR_MS, provider: 'openai' }));
}

export function testUsage(open: OpenStore): void {
  test('sumUsage() of an empty ledger is one row of zeros, and no groups', async () => {
    await using opened = await open();
    assert.deepEqual(await opened.store.sumUsage({}), [
      {
        key: '',
        calls: 0,
        input: 0,
        output: 0,
        cacheRead: 0,
        cacheWrite: 0,
        costNanoUsd: 0,
        estimated: false,
      },
    ]);
    assert.deepEqual(await opened.store.sumUsage({}, 'day'), []);
  });

  test('sumUsage() adds up every figure and says when one of them is a guess', async () => {
    await using opened = await open();
    await fill(opened.store);
    assert.deepEqual(await opened.store.sumUsage({}), [
      {
        key: '',
        calls: 5,
        input: 200,
        output: 100,
        cacheRead: 50,
        cacheWrite: 25,
        costNanoUsd: 3000,
        estimated: true,
      },
    ]);
  });

  test('sumUsage() groups by UTC day, provider/model, agent and session, by key', async () => {
    await using opened = await open();
    const { store } = opened;
    await fill(store);
    const counts = async (...args: Parameters<typeof store.sumUsage>): Promise<unknown> =>
      Object.fromEntries((await store.sumUsage(...args)).map(({ key, calls }) => [key, calls]));
    assert.deepEqual(await counts({}, 'day'), {
      '2026-11-21': 1,
      '2026-11-22': 3,
      '2026-11-23': 1,
    });
    assert.deepEqual(await counts({}, 'model'), {
      'anthropic/claude': 3,
      'anthropic/haiku': 1,
      'openai/claude': 1,
    });
    assert.deepEqual(await counts({}, 'agent'), { main: 4, other: 1 });
    assert.deepEqual(await counts({}, 'session'), { 'main:test:default:ada': 4, s2: 1 });
    const estimated = await store.sumUsage({}, 'model');
    assert.deepEqual(
      estimated.map((row) => row.estimated),
      [false, true, false],
    );
  });

  test('sumUsage() and listUsage() keep to the query: from inside, to outside', async () => {
    await using opened = await open();
    const { store } = opened;
    await fill(store);
    const day = { fromMs: DAY_MS, toMs: DAY_MS + 24 * HOUR_MS };
    const ids = async (query: object): Promise<string> =>
      (await store.listUsage({ ...query, limit: 9 })).map(({ callId }) => callId).join(' ');
    assert.equal(await ids({}), 'c5 c4 c3 c2 c1');
    assert.equal(await ids(day), 'c4 c3 c2');
    assert.equal(await ids({ ...day, sessionKey: 's2' }), 'c3');
    assert.equal(await ids({ agentId: 'other' }), 'c1');
    assert.equal(await ids({ runId: 'run-2' }), 'c4');
    assert.equal((await store.sumUsage(day))[0]?.calls, 3);
    assert.equal((await store.listUsage({ limit: 2 })).length, 2);
  });

  test('listUsage() gives rows back as they were settled', async () => {
    await using opened = await open();
    const row = makeLedgerRow('c1', { status: 'interrupted', estimated: true });
    await opened.store.settle(row);
    assert.deepEqual(await (await opened.reopen()).listUsage({ limit: 1 }), [row]);
  });
}
