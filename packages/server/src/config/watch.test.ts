import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { watchConfig } from './watch.ts';

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'exoclaw-watch-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A watch with short rests, and the paths of its next change. */
function startWatch(t: TestContext, paths: readonly string[]) {
  const controller = new AbortController();
  t.after(() => controller.abort());
  const iterator = watchConfig(paths, { signal: controller.signal, settleMs: 5 })[
    Symbol.asyncIterator
  ]();
  return {
    abort: () => controller.abort(),
    next: async () => (await iterator.next()).value as readonly string[] | undefined,
  };
}

test('watchConfig() reports a file that is written in place', async (t) => {
  const path = join(await openFolder(t), 'config.toml');
  writeFileSync(path, 'a = 1\n');
  const watched = startWatch(t, [path]);
  writeFileSync(path, 'a = 12\n');
  assert.deepEqual(await watched.next(), [path]);
});

test('watchConfig() reports a file that an editor replaces, again and again', async (t) => {
  const folder = await openFolder(t);
  const path = join(folder, 'config.toml');
  writeFileSync(path, 'a = 1\n');
  const watched = startWatch(t, [path]);
  for (const value of ['2', '3', '4']) {
    writeFileSync(join(folder, 'new'), `a = ${value}${value}\n`);
    renameSync(join(folder, 'new'), path);
    assert.deepEqual(await watched.next(), [path]);
  }
});

test('watchConfig() reports a file whose folders did not exist, and its removal', async (t) => {
  const folder = await openFolder(t);
  const path = join(folder, 'deep', 'er', 'soul.md');
  const watched = startWatch(t, [path]);
  mkdirSync(join(folder, 'deep', 'er'), { recursive: true });
  writeFileSync(path, 'x');
  assert.deepEqual(await watched.next(), [path]);
  rmSync(join(folder, 'deep'), { recursive: true });
  assert.deepEqual(await watched.next(), [path]);
  mkdirSync(join(folder, 'deep', 'er'), { recursive: true });
  writeFileSync(path, 'y');
  assert.deepEqual(await watched.next(), [path]);
});

test('watchConfig() follows a link to where it leads, and to where it leads next', async (t) => {
  const folder = await openFolder(t);
  const path = join(folder, 'here', 'config.toml');
  for (const name of ['here', 'one', 'two']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'one', 'c'), '1');
  writeFileSync(join(folder, 'two', 'c'), '2');
  symlinkSync(join(folder, 'one', 'c'), path);
  const watched = startWatch(t, [path]);
  writeFileSync(join(folder, 'one', 'c'), '11');
  assert.deepEqual(await watched.next(), [path]);
  unlinkSync(path);
  symlinkSync(join(folder, 'two', 'c'), path);
  assert.deepEqual(await watched.next(), [path]);
  writeFileSync(join(folder, 'two', 'c'), '22');
  assert.deepEqual(await watched.next(), [path]);
});

test('watchConfig() names only what is different, not its neighbours', async (t) => {
  const folder = await openFolder(t);
  const config = join(folder, 'config.toml');
  const soul = join(folder, 'soul.md');
  writeFileSync(config, '');
  const watched = startWatch(t, [config, soul]);
  writeFileSync(join(folder, 'exoclaw.db'), 'x');
  writeFileSync(soul, 'I am');
  assert.deepEqual(await watched.next(), [soul]);
});

test('watchConfig() reports a change of any file in a watched folder', async (t) => {
  const folder = join(await openFolder(t), 'credentials');
  const watched = startWatch(t, [folder]);
  mkdirSync(folder);
  assert.deepEqual(await watched.next(), [folder]);
  writeFileSync(join(folder, 'openai.key'), 'k');
  assert.deepEqual(await watched.next(), [folder]);
  writeFileSync(join(folder, 'openai.key'), 'kk');
  assert.deepEqual(await watched.next(), [folder]);
});

test('watchConfig() ends when it is aborted, before and while it waits', async (t) => {
  const folder = await openFolder(t);
  const watched = startWatch(t, [join(folder, 'x')]);
  const next = watched.next();
  watched.abort();
  assert.equal(await next, undefined);
  const iterator = watchConfig([folder], { signal: AbortSignal.abort() })[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).done, true);
});
