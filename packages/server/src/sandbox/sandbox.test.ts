import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { attackHarness, childPids, fails, SPIN } from './fixtures/attack-harness.ts';
import { openSandbox } from './sandbox.ts';
import { testKernel, wat } from './fixtures/modules.ts';

const { sandbox, load } = attackHarness();

test('a call that is killed takes nobody along who waits for the same process', async () => {
  await using plugin = await load(`(func (export "spin") ${SPIN})
    (func (export "fine") (result i32) (i32.const 0))`);
  const spinning = plugin.call('spin', '');
  const others = Array.from({ length: 20 }, (_, index) =>
    plugin.call('fine', '', { session: `s${index % 3}` }),
  );
  fails(await spinning, 'timeout', /250 ms/);
  for (const result of await Promise.all(others)) assert.equal(result.ok, true);
});

test('a call that is cancelled ends at once, running or waiting', async () => {
  await using plugin = await load(`(func (export "spin") ${SPIN})`, {
    limits: { deadlineMs: 60_000 },
  });
  const running = new AbortController();
  const waiting = new AbortController();
  const first = plugin.call('spin', '', { signal: running.signal });
  const second = plugin.call('spin', '', { signal: waiting.signal });
  waiting.abort();
  fails(await second, 'cancelled', /cancelled/);
  running.abort();
  fails(await first, 'cancelled', /cancelled/);
  fails(await plugin.call('spin', '', { signal: running.signal }), 'cancelled', /cancelled/);
});

test('a process killed from outside gives an error, and a new one takes over', async () => {
  await using plugin = await load(
    `(func (export "spin") ${SPIN}) (func (export "fine") (result i32) (i32.const 0))`,
    { limits: { deadlineMs: 60_000 } },
  );
  const spinning = plugin.call('spin', '');
  const next = plugin.call('fine', '');
  await setImmediate();
  for (const pid of await childPids()) process.kill(pid, 'SIGKILL');
  fails(await spinning, 'unavailable', /ended from outside \(SIGKILL\)/);
  assert.equal((await next).ok, true);
});

test('more plugins than there are processes all get their turn', async () => {
  const plugins = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      load(`(func (export "run") (result i32) (i32.const ${index + 1}))`),
    ),
  );
  const results = await Promise.all(plugins.map((plugin) => plugin.call('run', '')));
  for (const [index, result] of results.entries()) {
    fails(result, 'guest_error', new RegExp(`^Plugin returned ${index + 1}$`));
  }
  await Promise.all(plugins.map((plugin) => plugin[Symbol.asyncDispose]()));
});

test('a plugin that was unloaded answers no more and has no process', async () => {
  const plugin = await load('(func (export "run") (result i32) (i32.const 0))');
  await plugin[Symbol.asyncDispose]();
  await plugin[Symbol.asyncDispose]();
  fails(await plugin.call('run', ''), 'unavailable', /unloaded/);
});

test('openSandbox() refuses a level it cannot give', async () => {
  const kernel = await testKernel();
  await assert.rejects(openSandbox({ kernel, minimum: 'full' }), { code: 'config_error' });
  assert.equal(sandbox().status().level, 'seatbelt');
});

test('closing the sandbox ends calls and processes', async () => {
  const own = await openSandbox({ kernel: await testKernel() });
  const bytes = await wat(`(module (func (export "spin") ${SPIN}))`);
  const plugin = await own.load({ name: 'spin', bytes, grants: [] });
  const calls = [plugin.call('spin', ''), plugin.call('spin', '')];
  await own[Symbol.asyncDispose]();
  for (const result of await Promise.all(calls)) fails(result, 'unavailable', /closed/);
  assert.equal(own.status().processes, 0);
  await assert.rejects(own.load({ name: 'spin', bytes, grants: [] }), { code: 'unavailable' });
});
