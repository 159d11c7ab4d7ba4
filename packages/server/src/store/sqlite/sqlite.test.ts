import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { testStore } from '../conformance.ts';
import { answer, makeLine, makeMessage, makeReservation, SESSION } from '../test/harness.ts';
import { checkSqlite } from './repair.ts';
import { openSqliteStore } from './sqlite.ts';

async function makeFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'exoclaw-store-'));
  return {
    path: join(folder, 'exoclaw.db'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

testStore('sqlite', async () => {
  const folder = await makeFolder();
  let store = await openSqliteStore({ path: folder.path });
  return {
    store,
    async reopen() {
      await store[Symbol.asyncDispose]();
      return (store = await openSqliteStore({ path: folder.path }));
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
});

suite('openSqliteStore()', () => {
  test('of writes that share a commit, one that fails or is refused takes no other with it', async () => {
    await using folder = await makeFolder();
    {
      await using store = await openSqliteStore({ path: folder.path });
      // Enough in one turn of the event loop to make the next ones share their commit.
      await Promise.all(Array.from({ length: 20 }, (_, n) => store.putInbox(makeMessage(`a${n}`))));
      await new Promise(setImmediate);
      const limited = [makeLine('free'), makeLine('full', 10)];
      const results = await Promise.allSettled([
        store.putInbox(makeMessage('b1')),
        store.journalStep('no such run', 1, { kind: 'intent', toolCallId: 't' }),
        store.putInbox(makeMessage('b2')),
        store.reserve(makeReservation('c', limited, { tokens: 100 })),
        store.putInbox(makeMessage('b3')),
      ]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
      );
    }
    await using store = await openSqliteStore({ path: folder.path });
    const kept = (await store.listInbox()).map(({ id }) => id);
    assert.deepEqual(kept.slice(20), ['b1', 'b2', 'b3']);
    assert.deepEqual(await store.listReservations(), []);
    const [free] = await store.readBudgets([makeLine('free')]);
    assert.equal(free?.heldTokens, 0);
  });

  test('describes itself, in memory and on disk', async () => {
    await using folder = await makeFolder();
    await using memory = await openSqliteStore({ path: ':memory:' });
    await using file = await openSqliteStore({ path: folder.path, synchronous: 'full' });
    assert.deepEqual(memory.describe(), { engine: 'sqlite', ephemeral: true, schema: 1 });
    assert.deepEqual(file.describe(), { engine: 'sqlite', ephemeral: false, schema: 1 });
  });

  test('makes files that only their owner may read', async () => {
    await using folder = await makeFolder();
    await using store = await openSqliteStore({ path: folder.path });
    await answer(store, makeMessage('m1'), 1);
    for (const suffix of ['', '-wal', '-shm', '.lock']) {
      assert.equal((await stat(folder.path + suffix)).mode & 0o777, 0o600, suffix);
    }
  });

  test('refuses a file that this process or another has open, until it is closed', async () => {
    await using folder = await makeFolder();
    const store = await openSqliteStore({ path: folder.path });
    const refusal = { code: 'store_error', message: /in use by another exoclaw process/ };
    await assert.rejects(openSqliteStore({ path: folder.path }), refusal);
    assert.match(await openInChild(folder.path), /in use by another exoclaw process/);
    await store[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    assert.equal(await openInChild(folder.path), 'opened');
    await using _again = await openSqliteStore({ path: folder.path });
  });

  test('refuses a file that is not a database, and leaves it as it is', async () => {
    await using folder = await makeFolder();
    const junk = 'this is not a database\n'.repeat(500);
    await writeFile(folder.path, junk);
    await assert.rejects(openSqliteStore({ path: folder.path }), (error: Error) => {
      assert.match(error.message, /exoclaw doctor --fix/);
      assert.ok(!error.message.includes(folder.path));
      return true;
    });
    assert.equal(await readFile(folder.path, 'utf8'), junk);
  });

  test('refuses a newer schema and the database of another program', async () => {
    await using folder = await makeFolder();
    await (await openSqliteStore({ path: folder.path }))[Symbol.asyncDispose]();
    const raise = new DatabaseSync(folder.path);
    raise.exec('PRAGMA user_version = 99');
    raise.close();
    await assert.rejects(openSqliteStore({ path: folder.path }), {
      code: 'store_error',
      message: /newer version \(schema 99/,
    });
    const foreign = `${folder.path}.other`;
    const other = new DatabaseSync(foreign);
    other.exec('CREATE TABLE bookmark (url TEXT)');
    other.close();
    await assert.rejects(openSqliteStore({ path: foreign }), {
      code: 'store_error',
      message: /another program/,
    });
  });

  test('a store that was refused leaves no lock behind', async () => {
    await using folder = await makeFolder();
    await writeFile(folder.path, 'junk '.repeat(500));
    await assert.rejects(openSqliteStore({ path: folder.path }));
    await rm(folder.path);
    await using _store = await openSqliteStore({ path: folder.path });
  });

  test('says that it is closed, instead of crashing', async () => {
    const store = await openSqliteStore({ path: ':memory:' });
    await store[Symbol.asyncDispose]();
    await assert.rejects(store.listInbox(), {
      code: 'store_error',
      message: 'The store is closed',
    });
    await assert.rejects(store.nextEpoch(), {
      code: 'store_error',
      message: 'The store is closed',
    });
  });

  test('reports a row that does not have its shape', async () => {
    await using folder = await makeFolder();
    await using store = await openSqliteStore({ path: folder.path });
    await answer(store, makeMessage('m1'), 1);
    const meddle = new DatabaseSync(folder.path);
    meddle.exec(`UPDATE message SET body = '{"content":7}' WHERE seq = 1`);
    meddle.close();
    await assert.rejects(store.readMessages(SESSION, { limit: 5 }), {
      code: 'store_error',
      message: /cannot be read/,
    });
  });

  test('kill -9 in the middle of writing loses nothing that was acknowledged', async () => {
    await using folder = await makeFolder();
    const acknowledged: string[] = [];
    for (let cycle = 0; cycle < 5; cycle += 1) {
      acknowledged.push(...(await writeUntilKilled(folder.path, `${cycle}`, 40 + cycle * 7)));
    }
    assert.deepEqual(checkSqlite(folder.path), { kind: 'ok', problems: [] });
    await using store = await openSqliteStore({ path: folder.path });
    assert.ok(acknowledged.length >= 5 * 40);
    const inbox = new Set((await store.listInbox()).map(({ id }) => id));
    const ledger = new Set((await store.listUsage({ limit: 1e6 })).map(({ callId }) => callId));
    for (const line of acknowledged) {
      const [step = '', id = ''] = line.split(' ');
      const run = await store.getRun(id);
      if (step === 'inbox') assert.ok(inbox.has(id), line);
      if (step === 'begun') assert.ok(run !== undefined, line);
      if (step === 'settled') assert.ok(ledger.has(id), line);
      if (step === 'committed') {
        assert.equal(run?.state, 'done', line);
        assert.equal((await store.readRun(id)).length, 2, line);
      }
    }
    const history = await store.readMessages(SESSION, { limit: 1e6 });
    assert.deepEqual(
      history.map(({ seq }) => seq),
      history.map((_, index) => index + 1),
    );
    const [budget] = await store.readBudgets([{ scope: 'all', period: 'total' }]);
    const [sum] = await store.sumUsage({});
    assert.equal(budget?.usedTokens, (sum?.input ?? 0) + (sum?.output ?? 0));
    assert.equal(budget?.heldTokens, 100 * (await store.listReservations()).length);
  });
});

/** Starts a program that opens the store and says how that went. */
async function openInChild(path: string): Promise<string> {
  const script = `
    import { openSqliteStore } from ${JSON.stringify(import.meta.resolve('./sqlite.ts'))};
    try { await openSqliteStore({ path: process.argv[1] }); process.stdout.write('opened'); }
    catch (error) { process.stdout.write(error.message); }`;
  const args = ['--input-type=module', '--eval', script, path];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  return output;
}

/** Lets a child write until it has acknowledged `count` steps, kills it, and returns them all. */
async function writeUntilKilled(path: string, name: string, count: number): Promise<string[]> {
  const file = join(import.meta.dirname, 'crash-writer.fixture.ts');
  const child = spawn(process.execPath, [file, path, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === count) child.kill('SIGKILL');
  }
  const [code, signal] = (await closed) as [number | null, string | null];
  assert.deepEqual([code, signal], [null, 'SIGKILL']);
  return lines;
}
