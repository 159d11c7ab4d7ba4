import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import {
  answer,
  DAY_MS,
  makeCommit,
  makeLedgerRow,
  makeLine,
  makeMessage,
  makeReservation,
  SESSION,
} from '../test/harness.ts';
import { checkSqlite, repairSqlite } from './repair.ts';
import { openSqliteStore } from './sqlite.ts';

const NOTHING = { backup: undefined, rows: 0, incomplete: [] };

async function makeFolder(): Promise<
  AsyncDisposable & { readonly folder: string; readonly path: string }
> {
  const folder = await mkdtemp(join(tmpdir(), 'exoclaw-repair-'));
  return {
    folder,
    path: join(folder, 'exoclaw.db'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A store with three sessions of 60 runs each, one run and one call that were cut. */
async function fill(path: string): Promise<void> {
  await using store = await openSqliteStore({ path });
  const filler = 'lorem ipsum '.repeat(40);
  const epoch = await store.nextEpoch();
  for (let n = 0; n < 180; n += 1) {
    const message = makeMessage(`m${n}`, { sessionKey: `s${n % 3}`, content: `${n} ${filler}` });
    await answer(store, message, epoch, DAY_MS + n);
    await store.reserve(makeReservation(`c${n}`, [makeLine('all')]));
    await store.settle(makeLedgerRow(`c${n}`, { runId: `m${n}` }));
  }
  await store.putInbox(makeMessage('cut', { sessionKey: 's0' }));
  await store.beginRun(makeMessage('cut', { sessionKey: 's0' }), epoch, DAY_MS + 999);
  await store.journalStep('cut', epoch, { kind: 'intent', toolCallId: 'call_0' });
  await store.reserve(makeReservation('open', [makeLine('all')]));
  await store.writeVars('echo', new Map([['k', Uint8Array.of(1, 2, 3)]]), {
    maxBytes: 100,
    maxKeys: 10,
  });
}

/** Overwrites the leaf pages of a table or index between two shares of them. */
async function damage(path: string, name: string, from: number, to: number): Promise<void> {
  const db = new DatabaseSync(path, { readOnly: true });
  const pages = db
    .prepare(`SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path`)
    .all(name)
    .map((row) => Number(row['pageno']));
  const size = Number(db.prepare('PRAGMA page_size').get()?.['page_size']);
  db.close();
  assert.ok(pages.length >= 1);
  await using file = await open(path, 'r+');
  const first = Math.floor(pages.length * from);
  for (const page of pages.slice(first, Math.max(first + 1, Math.floor(pages.length * to)))) {
    await file.write(Buffer.alloc(size, 0xee), 0, size, (page - 1) * size);
  }
}

suite('checkSqlite()', () => {
  test('finds nothing in a sound store, also while it is in use', async () => {
    await using folder = await makeFolder();
    assert.deepEqual(checkSqlite(folder.path), { kind: 'missing', problems: [] });
    await fill(folder.path);
    assert.deepEqual(checkSqlite(folder.path), { kind: 'ok', problems: [] });
    await using _store = await openSqliteStore({ path: folder.path });
    assert.deepEqual(checkSqlite(folder.path), { kind: 'ok', problems: [] });
  });

  test('names what is wrong with a damaged file, and refuses a newer one', async () => {
    await using folder = await makeFolder();
    await fill(folder.path);
    await damage(folder.path, 'message', 0.4, 0.5);
    const check = checkSqlite(folder.path);
    assert.equal(check.kind, 'damaged');
    assert.ok(check.problems.length > 0 && check.problems.length <= 10);

    const newer = `${folder.path}.newer`;
    await (await openSqliteStore({ path: newer }))[Symbol.asyncDispose]();
    const raise = new DatabaseSync(newer);
    raise.exec('PRAGMA user_version = 99');
    raise.close();
    assert.equal(checkSqlite(newer).kind, 'refused');
    assert.throws(() => repairSqlite(newer, DAY_MS), { code: 'store_error', message: /newer/ });
  });
});

suite('repairSqlite()', () => {
  test('leaves a sound or missing store alone, and one in use', async () => {
    await using folder = await makeFolder();
    assert.deepEqual(repairSqlite(folder.path, DAY_MS), NOTHING);
    await fill(folder.path);
    assert.deepEqual(repairSqlite(folder.path, DAY_MS), NOTHING);
    await using _store = await openSqliteStore({ path: folder.path });
    assert.throws(() => repairSqlite(folder.path, DAY_MS), { code: 'store_error' });
    assert.deepEqual(
      (await readdir(folder.folder)).filter((name) => name.includes('damaged')),
      [],
    );
  });

  test('sets a file aside that is no database, and a new store opens in its place', async () => {
    await using folder = await makeFolder();
    const junk = 'this is not a database\n'.repeat(500);
    await writeFile(folder.path, junk);
    const { backup, incomplete } = repairSqlite(folder.path, DAY_MS);
    assert.equal(backup, `${folder.path}.damaged-20261122T000000Z`);
    assert.equal(await readFile(backup, 'utf8'), junk);
    assert.equal((await stat(backup)).mode & 0o777, 0o600);
    assert.ok(incomplete.includes('message'));
    assert.equal(checkSqlite(folder.path).kind, 'ok');
    assert.equal((await stat(folder.path)).mode & 0o777, 0o600);
    await using store = await openSqliteStore({ path: folder.path });
    assert.deepEqual(await store.listSessions({ limit: 9 }), []);
  });

  test('saves the rows around damaged pages and makes history contiguous again', async () => {
    await using folder = await makeFolder();
    await fill(folder.path);
    await damage(folder.path, 'message', 0.4, 0.5);
    const before = await readFile(folder.path);
    const repair = repairSqlite(folder.path, DAY_MS);
    assert.deepEqual(repair.incomplete, ['message']);
    assert.deepEqual(await readFile(repair.backup ?? ''), before);
    assert.deepEqual(checkSqlite(folder.path), { kind: 'ok', problems: [] });

    await using store = await openSqliteStore({ path: folder.path });
    let messages = 0;
    for (const { key, messageCount } of await store.listSessions({ limit: 9 })) {
      const history = await store.readMessages(key, { limit: 1000 });
      assert.deepEqual(
        history.map(({ seq }) => seq),
        history.map((_, index) => index + 1),
      );
      assert.equal(history.length, messageCount);
      messages += messageCount;
    }
    // 361 were there and a tenth of the pages is gone.
    assert.ok(messages > 280 && messages < 361, `${messages} messages`);
    assert.equal((await store.sumUsage({}))[0]?.calls, 180);
  });

  test('keeps cut runs, open reservations and variables, and gives out higher epochs', async () => {
    await using folder = await makeFolder();
    await fill(folder.path);
    await damage(folder.path, 'ledger', 0.5, 0.6);
    await damage(folder.path, 'message_by_run', 0, 1);
    assert.deepEqual(repairSqlite(folder.path, DAY_MS).incomplete, ['ledger']);
    await using store = await openSqliteStore({ path: folder.path });
    assert.ok((await store.nextEpoch()) > 1_000_000);
    assert.equal((await store.readMessages('s0', { limit: 1000 })).length, 121);
    const begun = await store.beginRun(makeMessage('cut', { sessionKey: 's0' }), 2e6, DAY_MS);
    assert.deepEqual(begun, {
      kind: 'retry',
      attempts: 2,
      steps: [{ kind: 'intent', toolCallId: 'call_0' }],
    });
    const commit = makeCommit('cut', 2e6, { sessionKey: 's0' });
    assert.equal(await store.commitRun(commit), 'committed');
    const [budget] = await store.readBudgets([makeLine('all')]);
    assert.deepEqual([budget?.usedTokens, budget?.heldTokens], [180 * 60, 100]);
    assert.deepEqual(await store.readVars('echo'), new Map([['k', Uint8Array.of(1, 2, 3)]]));
    assert.deepEqual(
      (await store.listInbox()).map(({ id }) => id),
      ['cut'],
    );
  });

  test('does without a table of which nothing is left', async () => {
    await using folder = await makeFolder();
    await fill(folder.path);
    for (const table of ['run', 'session', 'budget']) await damage(folder.path, table, 0, 1);
    const { incomplete } = repairSqlite(folder.path, DAY_MS);
    assert.deepEqual(incomplete, ['session', 'run', 'budget']);
    assert.equal(checkSqlite(folder.path).kind, 'ok');
    await using store = await openSqliteStore({ path: folder.path });
    const budgets = await store.readBudgets([
      makeLine('all'),
      makeLine('all', undefined, '2026-11-22'),
      makeLine('agent:main', undefined, '2026-11'),
      makeLine(`session:${SESSION}`),
    ]);
    assert.deepEqual(
      budgets.map(({ usedTokens, heldTokens }) => [usedTokens, heldTokens]),
      [
        [0, 100],
        [10_800, 0],
        [10_800, 0],
        [10_800, 0],
      ],
    );
    await answer(store, makeMessage('m1'), 1);
  });
});
