import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createSilentLog } from '../lib/log.ts';
import type { ProcessLane } from './lane.ts';
import { ProcessPool, type PoolOptions } from './pool.ts';
import { SandboxProcess } from './process.ts';
import { testKernel } from './fixtures/modules.ts';

const ENTRY = fileURLToPath(new URL('./child/entry.ts', import.meta.url));

let kernel: Uint8Array;

before(async () => {
  kernel = await testKernel();
});

function createPool(options: Partial<PoolOptions> = {}): ProcessPool {
  return new ProcessPool({
    start: () => SandboxProcess.start({ execPath: process.execPath, entry: ENTRY, kernel }),
    maxProcesses: 2,
    idleMs: 60_000,
    log: createSilentLog(),
    ...options,
  });
}

async function processOf(lane: ProcessLane): Promise<SandboxProcess> {
  return await lane.run(async (item) => Promise.resolve(item), { session: '' });
}

test('ProcessPool binds the blank process to a lane, which keeps it', async () => {
  await using pool = createPool();
  await pool.warmUp();
  assert.equal(pool.size, 1);
  const lane = pool.lane('a');
  const first = await processOf(lane);
  assert.equal(await processOf(lane), first);
  assert.equal(pool.lane('a'), lane);
  assert.notEqual(await processOf(pool.lane('b')), first);
});

test('ProcessPool ends a process that has had no work for a while', async () => {
  await using pool = createPool({ idleMs: 1 });
  const lane = pool.lane('a');
  const first = await processOf(lane);
  // The pool's own timer does not keep this process alive.
  const alive = setInterval(() => {}, 1_000);
  await first.exited;
  clearInterval(alive);
  assert.notEqual(await processOf(lane), first);
});

test('ProcessPool takes the place of the plugin that has been idle the longest', async () => {
  await using pool = createPool();
  const oldest = await processOf(pool.lane('a'));
  const newer = await processOf(pool.lane('b'));
  await processOf(pool.lane('c'));
  assert.deepEqual([oldest.isDead, newer.isDead], [true, false]);
});

test('ProcessPool replaces a process that died', async () => {
  await using pool = createPool();
  const lane = pool.lane('a');
  const first = await processOf(lane);
  first.kill('crash', 'test');
  const second = await processOf(lane);
  assert.deepEqual([second === first, second.isDead], [false, false]);
});

test('ProcessPool refuses a task when no process starts, and goes on when one does', async () => {
  const state = { isBroken: true };
  await using pool = createPool({
    start: () =>
      state.isBroken
        ? Promise.reject(new Error('no more processes'))
        : SandboxProcess.start({ execPath: process.execPath, entry: ENTRY, kernel }),
  });
  await assert.rejects(pool.warmUp(), /no more processes/);
  const lane = pool.lane('a');
  await assert.rejects(processOf(lane), { code: 'unavailable' });
  state.isBroken = false;
  assert.equal((await processOf(lane)).isDead, false);
});

test('ProcessPool ends a lane with its last user, and everything when it closes', async () => {
  const pool = createPool();
  const lane = pool.lane('a');
  pool.lane('a');
  const first = await processOf(lane);
  lane.release();
  assert.equal(first.isDead, false);
  lane.release();
  assert.equal(first.isDead, true);
  const other = pool.lane('b');
  const second = await processOf(other);
  await pool[Symbol.asyncDispose]();
  assert.equal(second.isDead, true);
  assert.equal(pool.size, 0);
  await assert.rejects(processOf(other), { code: 'unavailable', message: 'Sandbox is closed' });
});

test('a lane refuses what is over its queue and what was cancelled while it waited', async () => {
  await using pool = createPool();
  const lane = pool.lane('a');
  const gate = Promise.withResolvers<void>();
  const running = lane.run(() => gate.promise, { session: 'x' });
  await processOf(pool.lane('b'));
  const controller = new AbortController();
  const cancelled = lane.run(() => Promise.resolve(), { session: 'x', signal: controller.signal });
  const waiting = Array.from({ length: 128 }, () =>
    lane.run(() => Promise.resolve('ok'), { session: 'x' }).catch((error: unknown) => error),
  );
  const [first, last] = [waiting[0], waiting.at(-1)];
  assert.match(String(await last), /Too many calls wait/);
  controller.abort();
  await assert.rejects(cancelled, { code: 'cancelled' });
  gate.resolve();
  await running;
  assert.equal(await first, 'ok');
});
