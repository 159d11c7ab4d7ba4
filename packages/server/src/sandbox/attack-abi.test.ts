/** Hostile modules against the ABI: imports, pointers, host functions, WASI. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attackHarness, ENV, fails, runs, SPIN, WASI } from './fixtures/attack-harness.ts';
import { ECHO_WAT, wat } from './fixtures/modules.ts';

const { sandbox, load, run, runEach, loadFails } = attackHarness();

test('imports of what is not there are refused at load', async () => {
  for (const entry of [
    `${ENV} "__proto__" (func)`,
    `${ENV} "constructor" (func (param i64) (result i64))`,
    `${ENV} "input_set" (func (param i64 i64))`,
    `${ENV} "memory" (memory 1)`,
    `${ENV} "max_pages" (global (mut i32))`,
    '"__proto__" "constructor" (func)',
    '"env" "memory" (memory 1)',
    '"env" "table" (table 1 funcref)',
    '"node:fs" "readFileSync" (func)',
    '"extism:host/user" "memory.search" (func (param i64) (result i64))',
    `${ENV} "alloc" (func (param i32) (result i32))`,
  ]) {
    await loadFails(`(import ${entry})`, 'plugin_rejected', /^Module imports /);
  }
});

test('code the engine refuses is refused at load', async () => {
  // 0x6a adds two numbers where the stack has none.
  const bytes = Buffer.from('0061736d01000000010401600000030201000a050103006a0b', 'hex');
  const options = { name: 'invalid', bytes, grants: [] };
  await assert.rejects(sandbox().load(options), { code: 'plugin_rejected', message: /not enough/ });
});

test('only a function without parameters and with an i32 or nothing can be called', async () => {
  await using plugin = await load(`(memory (export "memory") 1)
    (func (export "long") (result i64) (i64.const 0)) (func (export "then") (param i32))`);
  for (const name of ['memory', 'long', 'then', 'missing', '__proto__', 'constructor', '']) {
    fails(await plugin.call(name, ''), 'plugin_rejected', /export/i);
  }
});

test('exports named like parts of a promise are just exports', async () => {
  const exports = ['then', 'catch', 'toString', 'constructor'].map(
    (name) => `(func (export "${name}") (result i32) (i32.const 0))`,
  );
  await using plugin = await load(exports.join(' '));
  assert.equal((await plugin.call('then', '')).ok, true);
  assert.equal((await plugin.call('constructor', '')).ok, true);
});

test('output and error pointers outside of a block are traps', async () => {
  const declarations = `(import ${ENV} "output_set" (func $output (param i64 i64)))
    (import ${ENV} "error_set" (func $error (param i64)))
    (import ${ENV} "load_u8" (func $load (param i64) (result i32)))
    (import ${ENV} "alloc" (func $alloc (param i64) (result i64)))`;
  const bodies = [
    '(call $output (i64.const 0) (i64.const 8))',
    '(call $output (i64.const -1) (i64.const 1))',
    '(call $output (i64.const 1032) (i64.const -1))',
    '(call $output (call $alloc (i64.const 16)) (i64.const 4294967296))',
    '(call $error (i64.const 12345))',
    '(drop (call $load (i64.const -1)))',
    '(drop (call $load (i64.const 4294968328)))',
  ];
  const results = await runEach(
    declarations,
    bodies.map((body) => `${body} (i32.const 0)`),
  );
  for (const result of results) fails(result, 'guest_trap', /unreachable/);
});

test('an output or an input over its limit is refused', async () => {
  const bytes = await wat(ECHO_WAT);
  const limits = { outputBytes: 1_000, inputBytes: 2_000 };
  await using plugin = await sandbox().load({ name: 'echo', bytes, grants: [], limits });
  assert.equal((await plugin.call('echo', 'x'.repeat(1_000))).ok, true);
  fails(await plugin.call('echo', 'x'.repeat(1_001)), 'output_invalid', /1001 bytes .* 1000/);
  fails(await plugin.call('echo', 'x'.repeat(2_001)), 'denied', /Input of 2001 bytes .* 2000/);
});

test('error and output both set: the error counts, cut and escaped', async () => {
  const result = await run(
    runs(
      `(local.set $p (call $alloc (i64.const 100000)))
       (call $store (local.get $p) (i64.const 0x0a1b5b41))
       (call $output (local.get $p) (i64.const 8))
       (call $error (local.get $p))
       (i32.const 0)`,
      `(import ${ENV} "alloc" (func $alloc (param i64) (result i64)))
       (import ${ENV} "store_u64" (func $store (param i64 i64)))
       (import ${ENV} "output_set" (func $output (param i64 i64)))
       (import ${ENV} "error_set" (func $error (param i64)))`,
    ).replace('(result i32)', '(result i32) (local $p i64)'),
  );
  fails(result, 'guest_error', /^A\[\\u\{1b\}\\n\\u\{0\}/);
  assert.ok(!result.ok && Buffer.byteLength(result.error.message) <= 4_096);
});

const LOG = `(import ${ENV} "log_info" (func $log (param i64)))
  (import ${ENV} "alloc" (func $alloc (param i64) (result i64)))`;

test('a flood of log lines is cut, and what is missing is counted', async () => {
  const result = await run(
    runs(
      `(loop $l
         (call $log (call $alloc (i64.const 10)))
         (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5000))))
       (i32.const 0)`,
      LOG,
    ).replace('(result i32)', '(result i32) (local $i i32)'),
  );
  assert.equal(result.ok, true);
  assert.equal(result.logs.length, 201);
  assert.equal(result.logs.at(-1)?.text, '4800 log lines were dropped');
});

test('one log line of megabytes is cut', async () => {
  const line = '(call $log (call $alloc (i64.const 5000000)))';
  const result = await run(runs(`${line} ${line} (i32.const 0)`, LOG));
  assert.equal(result.logs.length, 2);
  assert.ok(result.logs.every((entry) => Buffer.byteLength(entry.text) <= 4_096));
  assert.equal(result.logs.at(-1)?.text, '1 log lines were dropped');
});

test('logs of a call that was stopped are kept', async () => {
  const result = await run(
    runs(`(call $log (call $alloc (i64.const 1))) ${SPIN} (unreachable)`, LOG),
  );
  fails(result, 'timeout', /250 ms/);
  assert.deepEqual(result.logs, [{ level: 'info', text: '\\u{0}' }]);
});

const VARS = `(import ${ENV} "var_set" (func $set (param i64 i64)))
  (import ${ENV} "var_get" (func $get (param i64) (result i64)))
  (import ${ENV} "alloc" (func $alloc (param i64) (result i64)))
  (import ${ENV} "store_u64" (func $store (param i64 i64)))
  (import ${ENV} "length" (func $length (param i64) (result i64)))
  (func $key (param $n i64) (result i64) (local $p i64)
    (local.set $p (call $alloc (i64.const 8)))
    (call $store (local.get $p) (i64.add (i64.const 0x3030303030303030) (local.get $n)))
    (local.get $p))`;

test('vars over their quota are denied, even to a guest that swallows the refusal', async () => {
  const flood = `(loop $l
      (try (do (call $set (call $key (local.get $n)) (call $alloc (i64.const 100)))) (catch_all))
      (br_if $l (i64.lt_u (local.tee $n (i64.add (local.get $n) (i64.const 1))) (i64.const 65))))
    (i32.const 0)`;
  const withLocal = (text: string) =>
    text.replace('(export "run") (result i32)', '(export "run") (result i32) (local $n i64)');
  fails(await run(withLocal(runs(flood, VARS))), 'denied', /quota of 64 keys/);
  const big = `(try (do (call $set (call $key (i64.const 0)) (call $alloc (i64.const 2000000)))) (catch_all))
    (i32.const 0)`;
  fails(await run(runs(big, VARS)), 'denied', /quota of 1048576 bytes/);
});

test('vars last from call to call, and a failed call writes none', async () => {
  await using plugin = await load(`${VARS}
    (func (export "size") (result i32)
      (i32.wrap_i64 (call $length (call $get (call $key (i64.const 0))))))
    (func (export "set") (result i32)
      (call $set (call $key (i64.const 0)) (call $alloc (i64.const 7))) (i32.const 0))
    (func (export "fail") (result i32)
      (call $set (call $key (i64.const 0)) (call $alloc (i64.const 9))) (unreachable))
    (func (export "delete") (result i32)
      (call $set (call $key (i64.const 0)) (i64.const 0)) (i32.const 0))`);
  assert.equal((await plugin.call('size', '')).ok, true);
  assert.equal((await plugin.call('set', '')).ok, true);
  fails(await plugin.call('size', ''), 'guest_error', /returned 7/);
  fails(await plugin.call('fail', ''), 'guest_trap', /unreachable/);
  fails(await plugin.call('size', ''), 'guest_error', /returned 7/);
  assert.equal((await plugin.call('delete', '')).ok, true);
  assert.equal((await plugin.call('size', '')).ok, true);
});

test('globals and memory do not survive a call', async () => {
  await using plugin = await load(`(memory 1) (global $g (mut i32) (i32.const 0))
    (func (export "run") (result i32)
      (global.set $g (i32.add (global.get $g) (i32.const 1)))
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (i32.add (global.get $g) (i32.load (i32.const 0))))`);
  for (let turn = 0; turn < 3; turn += 1) {
    fails(await plugin.call('run', ''), 'guest_error', /returned 2$/);
  }
});

test('config shows the granted keys, and no property of any object', async () => {
  const text = `
    (import ${ENV} "config_get" (func $config (param i64) (result i64)))
    (import ${ENV} "input_offset" (func $input (result i64)))
    (import ${ENV} "length" (func $length (param i64) (result i64)))
    (import ${ENV} "output_set" (func $output (param i64 i64)))
    (func (export "run") (result i32) (local $p i64)
      (local.set $p (call $config (call $input)))
      (call $output (local.get $p) (call $length (local.get $p)))
      (i32.const 0))`;
  await using plugin = await load(text, {
    grants: ['config:color'],
    config: { color: 'blue', size: 'large' },
  });
  const get = async (key: string) => {
    const result = await plugin.call('run', key);
    return result.ok ? Buffer.from(result.output).toString() : result.error;
  };
  assert.equal(await get('color'), 'blue');
  for (const key of ['size', '__proto__', 'constructor', 'toString', 'x'.repeat(5_000)]) {
    assert.equal(await get(key), '', key);
  }
});

test('a denied host function stays denied, whatever the guest does with the throw', async () => {
  const http = `(import ${ENV} "http_request" (func $http (param i64 i64) (result i64)))`;
  const body = '(drop (call $http (i64.const 0) (i64.const 0)))';
  const results = await runEach(http, [
    `${body} (i32.const 0)`,
    `(try (do ${body}) (catch_all)) (i32.const 0)`,
    `(try (do ${body}) (catch_all)) (unreachable)`,
  ]);
  for (const result of results) fails(result, 'denied', /http_request/);
});

test('host calls are counted', async () => {
  const result = await run(
    runs(
      '(loop $l (drop (call $config (i64.const 8))) (br $l)) (unreachable)',
      `(import ${ENV} "config_get" (func $config (param i64) (result i64)))`,
    ),
  );
  fails(result, 'denied', /More than 1000 host calls/);
});

test('proc_exit fails the call, swallowed or not', async () => {
  const exit = `(import ${WASI} "proc_exit" (func $exit (param i32)))`;
  const body = '(call $exit (i32.const 0))';
  const results = await runEach(exit, [
    `${body} (i32.const 0)`,
    `(try (do ${body}) (catch_all)) (i32.const 0)`,
  ]);
  for (const result of results) fails(result, 'guest_trap', /exited with code 0/);
});

test('WASI has no arguments, environment, folders, files or sockets', async () => {
  const i32 = (count: number) => `(param ${'i32 '.repeat(count)}) (result i32)`;
  const declarations = `
    (import ${WASI} "args_sizes_get" (func $args ${i32(2)}))
    (import ${WASI} "environ_sizes_get" (func $environ ${i32(2)}))
    (import ${WASI} "fd_prestat_get" (func $prestat ${i32(2)}))
    (import ${WASI} "fd_read" (func $read ${i32(4)}))
    (import ${WASI} "fd_write" (func $write ${i32(4)}))
    (import ${WASI} "fd_close" (func $close (param i32) (result i32)))
    (import ${WASI} "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import ${WASI} "sock_send" (func $send ${i32(5)}))
    (import ${WASI} "random_get" (func $random ${i32(2)}))
    (memory (export "memory") 1)`;
  const zero = (count: number) => '(i32.const 0) '.repeat(count);
  const cases = [
    ['(i32.or (call $args (i32.const 0) (i32.const 4)) (i32.load (i32.const 0)))', 0],
    ['(i32.or (call $environ (i32.const 0) (i32.const 4)) (i32.load (i32.const 4)))', 0],
    ['(call $prestat (i32.const 3) (i32.const 0))', 8],
    [`(call $read (i32.const 3) ${zero(3)})`, 8],
    [`(call $write (i32.const 3) ${zero(3)})`, 8],
    ['(call $close (i32.const 3))', 8],
    [`(call $open (i32.const 3) ${zero(4)} (i64.const 0) (i64.const 0) ${zero(2)})`, 76],
    [`(call $send ${zero(5)})`, 76],
    ['(call $args (i32.const -1) (i32.const 0))', 21],
    ['(call $random (i32.const 65530) (i32.const 100))', 21],
    ['(call $random (i32.const -4) (i32.const -1))', 21],
    ['(call $write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0))', 21],
    ['(call $write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 0))', 28],
  ] as const;
  const mark = `(i32.store (i32.const 0) (i32.const 0x7fff))
    (i32.store (i32.const 4) (i32.const 0x7fff))`;
  const results = await runEach(
    declarations,
    cases.map(([call]) => `${mark} ${call}`),
  );
  for (const [index, [call, errno]] of cases.entries()) {
    if (errno === 0) assert.equal(results[index]?.ok, true, call);
    else fails(results[index], 'guest_error', new RegExp(`^Plugin returned ${errno}$`));
  }
});

test('a write to standard output becomes a log line and reaches no protocol', async () => {
  // The bytes are the header of a result frame.
  const result = await run(
    runs(
      `(drop (call $write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 64)))
       (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 64)))
       (i32.sub (i32.load (i32.const 64)) (i32.const 6))`,
      `(import ${WASI} "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
       (memory (export "memory") 1)
       (data (i32.const 0) "\\20\\00\\00\\00\\10\\00\\00\\00\\30\\00\\00\\00\\06\\00\\00\\00")
       (data (i32.const 32) "\\00\\00\\00\\00\\44\\00\\00\\00\\01\\00\\00\\00\\00\\00\\00\\00hello\\0a")`,
    ),
  );
  assert.equal(result.ok, true);
  assert.deepEqual(
    result.logs.map(({ level, text }) => [level, text.slice(-5)]),
    [
      ['info', 'hello'],
      ['warn', 'hello'],
    ],
  );
});
