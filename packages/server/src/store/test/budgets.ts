/** Reservations: all or nothing, never past a limit, never left behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { BudgetLine, Store } from '../store.ts';
import {
  DAY_MS,
  makeLedgerRow,
  makeLine,
  makeReservation,
  type OpenedStore,
  type OpenStore,
} from './harness.ts';

async function readTokens(store: Store, line: BudgetLine): Promise<readonly [number, number]> {
  const [use] = await store.readBudgets([line]);
  return [use?.usedTokens ?? -1, use?.heldTokens ?? -1];
}

export function testBudgets(open: OpenStore): void {
  test('reserve() holds on every line or on none, and names the one without room', async () => {
    await using opened = await open();
    const { store } = opened;
    const wide = makeLine('session:s', 1000);
    const tight = makeLine('all', 150, '2026-11-22');
    assert.deepEqual(await store.reserve(makeReservation('c1', [wide, tight])), {
      kind: 'reserved',
    });
    assert.deepEqual(await store.reserve(makeReservation('c2', [wide, tight])), {
      kind: 'exceeded',
      line: tight,
      use: {
        scope: 'all',
        period: '2026-11-22',
        usedTokens: 0,
        heldTokens: 100,
        usedNanoUsd: 0,
        heldNanoUsd: 1000,
      },
    });
    assert.deepEqual(await readTokens(store, wide), [0, 100]);
    assert.equal((await store.listReservations()).length, 1);
  });

  test('reserve() fills a limit exactly, in tokens and in money', async () => {
    await using opened = await open();
    const { store } = opened;
    const tokens = makeLine('session:s', 300);
    const money = { ...makeLine('all'), limitNanoUsd: 2500 };
    const kinds: string[] = [];
    for (const callId of ['c1', 'c2', 'c3', 'c4']) {
      kinds.push((await store.reserve(makeReservation(callId, [tokens]))).kind);
      kinds.push((await store.reserve(makeReservation(`m${callId}`, [money]))).kind);
    }
    assert.deepEqual(
      kinds.map((kind) => kind === 'reserved'),
      [true, true, true, true, true, false, false, false],
    );
  });

  test('reserve() counts a line that is named twice twice', async () => {
    await using opened = await open();
    const line = makeLine('all', 150);
    const result = await opened.store.reserve(makeReservation('c1', [line, line]));
    assert.equal(result.kind, 'exceeded');
    assert.deepEqual(await readTokens(opened.store, line), [0, 0]);
  });

  test('reserve() of a call that is reserved or settled changes nothing', async () => {
    await using opened = await open();
    const { store } = opened;
    const line = makeLine('all', 1000);
    const reservation = makeReservation('c1', [line]);
    await store.reserve(reservation);
    assert.deepEqual(await store.reserve(reservation), { kind: 'reserved' });
    assert.deepEqual(await readTokens(store, line), [0, 100]);
    await store.settle(makeLedgerRow('c1'));
    assert.deepEqual(await store.reserve(reservation), { kind: 'reserved' });
    assert.deepEqual(await readTokens(store, line), [60, 0]);
  });

  test('settle() charges what was used, once, and on the lines of the reservation', async () => {
    await using opened = await open();
    const { store } = opened;
    const lines = [makeLine('session:s'), makeLine('all', 1000, '2026-11')];
    await store.reserve(makeReservation('c1', lines));
    await store.settle(makeLedgerRow('c1'));
    await store.settle(makeLedgerRow('c1', { costNanoUsd: 9999 }));
    assert.deepEqual(
      await store.readBudgets(lines),
      lines.map(({ scope, period }) => ({
        scope,
        period,
        usedTokens: 60,
        heldTokens: 0,
        usedNanoUsd: 600,
        heldNanoUsd: 0,
      })),
    );
    assert.equal((await store.sumUsage({}))[0]?.costNanoUsd, 600);
    assert.deepEqual(await store.listReservations(), []);
  });

  test('a reservation outlives a reopen with what was noted, and can be settled then', async () => {
    await using opened = await open();
    const line = makeLine('all', 1000);
    const { lines: _lines, ...first } = makeReservation('c1', [line]);
    await opened.store.reserve(makeReservation('c1', [line]));
    await opened.store.reserve(makeReservation('c2', [line]));
    const noted = { input: 30, output: 1, cacheRead: 0, cacheWrite: 0 };
    await opened.store.noteUsage('c1', { ...noted, output: 0 });
    await opened.store.noteUsage('c1', noted);
    await opened.store.noteUsage('nobody', noted);
    const store = await opened.reopen();
    assert.deepEqual(await store.listReservations(), [
      { ...first, noted },
      { ...first, callId: 'c2', noted: undefined },
    ]);
    assert.deepEqual(await readTokens(store, line), [0, 200]);
    await store.settle(makeLedgerRow('c1', { status: 'interrupted' }));
    assert.deepEqual(await readTokens(store, line), [60, 100]);
  });

  test('settle() without a reservation keeps the row and charges nothing', async () => {
    await using opened = await open();
    await opened.store.settle(makeLedgerRow('c1'));
    assert.equal((await opened.store.sumUsage({}))[0]?.calls, 1);
    assert.deepEqual(await readTokens(opened.store, makeLine('all')), [0, 0]);
  });

  test('in any order of events no limit is passed, no hold leaks, and used is the ledger', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(EVENT, { minLength: 1, maxLength: 40 }), async (events) => {
        await using opened = await open();
        await play(opened, events);
      }),
      { numRuns: 25 },
    );
  });
}

type Event =
  | { readonly kind: 'reserve'; readonly line: number; readonly tokens: number }
  | { readonly kind: 'settle' | 'note'; readonly call: number; readonly share: number }
  | { readonly kind: 'reopen' };

const EVENT: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('reserve'),
      line: fc.nat(1),
      tokens: fc.nat(400),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('settle', 'note'),
      call: fc.nat(20),
      share: fc.nat(100),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen') }) },
);

const SHARED: BudgetLine = { ...makeLine('all', 1000), limitNanoUsd: 2500 };
const LINES: readonly BudgetLine[] = [makeLine('session:0', 600), makeLine('session:1', 700)];

/** Plays events against a store and, beside it, keeps the books by hand. */
async function play(opened: OpenedStore, events: readonly Event[]): Promise<void> {
  let { store } = opened;
  const calls: { line: number; tokens: number; open: boolean; used: number }[] = [];

  for (const event of events) {
    if (event.kind === 'reopen') {
      store = await opened.reopen();
    } else if (event.kind === 'reserve') {
      const { line, tokens } = event;
      const lines = [SHARED, LINES[line] ?? SHARED];
      const reservation = makeReservation(`c${calls.length}`, lines, {
        sessionKey: String(line),
        tokens,
        nanoUsd: tokens * 2,
      });
      const { kind } = await store.reserve(reservation);
      if (kind === 'reserved') calls.push({ line, tokens, open: true, used: 0 });
    } else {
      const call = calls[event.call];
      if (call === undefined) continue;
      const used = Math.floor((call.tokens * event.share) / 100);
      const usage = { input: used, output: 0, cacheRead: 0, cacheWrite: 0 };
      const callId = `c${event.call}`;
      if (event.kind === 'note') {
        await store.noteUsage(callId, usage);
      } else {
        const sessionKey = String(call.line);
        const costNanoUsd = used * 2;
        await store.settle(makeLedgerRow(callId, { sessionKey, usage, costNanoUsd, atMs: DAY_MS }));
        if (call.open) Object.assign(call, { open: false, used });
      }
    }
  }

  for (const [index, line] of [SHARED, ...LINES].entries()) {
    const own = index === 0 ? calls : calls.filter((call) => call.line === index - 1);
    const [use] = await store.readBudgets([line]);
    const [sum] = await store.sumUsage(index === 0 ? {} : { sessionKey: String(index - 1) });
    assert.ok(use !== undefined && sum !== undefined);
    const held = own.reduce((total, call) => total + (call.open ? call.tokens : 0), 0);
    const used = own.reduce((total, call) => total + call.used, 0);
    assert.deepEqual([use.usedTokens, use.heldTokens], [used, held]);
    assert.deepEqual([use.usedNanoUsd, use.heldNanoUsd], [used * 2, held * 2]);
    assert.deepEqual([sum.input + sum.output, sum.costNanoUsd], [used, used * 2]);
    assert.ok(used + held <= (line.limitTokens ?? Infinity));
    assert.ok((used + held) * 2 <= (line.limitNanoUsd ?? Infinity));
  }
  assert.equal((await store.listReservations()).length, calls.filter((call) => call.open).length);
}
