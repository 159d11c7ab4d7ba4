/** Hostile modules that want everything: time, memory, tables, stack. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attackHarness, ENV, fails, runs, SPIN, WASI } from './fixtures/attack-harness.ts';

const { load, run, runEach, loadFails } = attackHarness();

for (const [name, body] of [
  ['a loop', `${SPIN} (unreachable)`],
  [
    'memory.fill',
    '(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 4194304)) (br $l)) (unreachable)',
  ],
  [
    'memory.copy',
    '(loop $l (memory.copy (i32.const 0) (i32.const 8) (i32.const 4194000)) (br $l)) (unreachable)',
  ],
  [
    'table.copy',
    '(loop $l (table.copy (i32.const 0) (i32.const 1) (i32.const 99999)) (br $l)) (unreachable)',
  ],
  ['tail calls', '(return_call $forever)'],
  ['host calls', '(loop $l (drop (call $level)) (br $l)) (unreachable)'],
  ['catch_all', '(loop $l (try (do (throw $e)) (catch_all)) (br $l)) (unreachable)'],
] as const) {
  test(`an export that spins with ${name} is stopped at its deadline`, async () => {
    const result = await run(
      runs(
        body,
        `(import ${ENV} "get_log_level" (func $level (result i32)))
         (memory 64) (table 100000 funcref) (tag $e)
         (func $forever (result i32) (return_call $forever))`,
      ),
    );
    fails(result, 'timeout', /did not finish within 250 ms/);
    assert.equal(!result.ok && result.error.detail, 'cpu');
  });
}

test('a loop in the start section or in _initialize stops the load', async () => {
  const quick = { limits: { loadDeadlineMs: 250 } };
  for (const text of [
    `(func $f ${SPIN}) (start $f)`,
    `(func (export "_initialize") ${SPIN})`,
    `(func (export "_start") ${SPIN})`,
  ]) {
    await assert.rejects(load(text, quick), { code: 'timeout', message: /Cannot load .* 250 ms/ });
  }
});

test('a trap, an exit or a catch_all in a start-up function stops the load', async () => {
  await loadFails('(func $f unreachable) (start $f)', 'guest_trap', /unreachable/);
  await loadFails('(func (export "_initialize") unreachable)', 'guest_trap', /unreachable/);
  const exit = `(import ${WASI} "proc_exit" (func $exit (param i32)))`;
  const swallow = '(try (do (call $exit (i32.const 0))) (catch_all))';
  await loadFails(`${exit} (func (export "_initialize") ${swallow})`, 'guest_trap', /code 0/);
  await loadFails(`${exit} (func (export "_start") (call $exit (i32.const 3)))`, 'guest_trap', /3/);
});

test('a command that ends _start with exit code 0 is a plugin like any other', async () => {
  const result = await run(
    runs(
      '(global.get $ready)',
      `(import ${WASI} "proc_exit" (func $exit (param i32)))
       (global $ready (mut i32) (i32.const 1))
       (func (export "_start") (global.set $ready (i32.const 0)) (call $exit (i32.const 0)))`,
    ),
  );
  assert.equal(result.ok, true);
});

test('memory grows to the cap and no further', async () => {
  const grow = '(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))';
  const result = await run(runs(`${grow} (memory.size)`, '(memory 1)'));
  fails(result, 'guest_error', /^Plugin returned 64$/);
  const trapped = await run(runs(`${grow} (unreachable)`, '(memory (export "memory") 1)'));
  fails(trapped, 'memory_limit', /memory of 4194304 bytes/);
});

test('a memory that starts above the cap is refused', async () => {
  await loadFails('(memory 65)', 'plugin_rejected', /asks for 65 pages/);
  await loadFails('(memory 65536)', 'plugin_rejected', /asks for 65536 pages/);
});

test('tables are bounded, at the start and when they grow', async () => {
  await loadFails('(table 10000000 funcref)', 'plugin_rejected', /10000000 entries/);
  const result = await run(
    runs(
      `(loop $l (br_if $l (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1))))
       (table.size)`,
      '(table 0 funcref)',
    ),
  );
  fails(result, 'guest_error', /^Plugin returned 100000$/);
});

test('deep recursion is a trap, through host functions as well', async () => {
  const declarations = `(import ${ENV} "log_info" (func $log (param i64)))
    (import ${ENV} "config_get" (func $config (param i64) (result i64)))
    (func $plain (result i32) (i32.add (call $plain) (i32.const 1)))
    (func $logging (result i32)
      (call $log (i64.const 8)) (i32.add (call $logging) (i32.const 1)))
    (func $asking (result i32)
      (drop (call $config (i64.const 8))) (i32.add (call $asking) (i32.const 1)))`;
  const [plain, logging, asking] = await runEach(declarations, [
    '(call $plain)',
    '(call $logging)',
    '(call $asking)',
  ]);
  fails(plain, 'guest_trap', /stack/);
  fails(logging, 'guest_trap', /stack/);
  fails(asking, 'denied', /More than 1000 host calls/);
});

test('a flood of blocks ends when the ABI memory is full', async () => {
  const result = await run(
    runs(
      '(loop $l (br_if $l (i64.ne (call $alloc (i64.const 65536)) (i64.const 0)))) (i32.const 0)',
      `(import ${ENV} "alloc" (func $alloc (param i64) (result i64)))`,
    ),
  );
  assert.equal(result.ok, true);
});

test('an uncaught exception and a wait on memory are traps', async () => {
  const [thrown, waited] = await runEach('(tag $e) (memory 1)', [
    '(throw $e)',
    '(memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))',
  ]);
  fails(thrown, 'guest_trap', /Plugin trapped/);
  fails(waited, 'guest_trap', /wait/i);
});
