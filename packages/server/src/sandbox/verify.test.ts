import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MODULE_LIMITS } from './limits.ts';
import { SandboxLoadError } from './plugin.ts';
import { ECHO_WAT, wat } from './fixtures/modules.ts';
import { checkCallable, verify, type VerifyOptions } from './verify.ts';
import { encodeU32, WasmReader } from './wasm-reader.ts';

const OPTIONS: VerifyOptions = { grants: [], memoryBytes: 64 * 65_536 };
const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

function section(id: number, ...body: number[]): number[] {
  return [id, ...encodeU32(body.length), ...body];
}

function module(...sections: number[][]): Uint8Array {
  return Uint8Array.from([...HEADER, ...sections.flat()]);
}

function refused(bytes: Uint8Array, expected: RegExp, options = OPTIONS): void {
  assert.throws(
    () => verify(bytes, options),
    (error) =>
      error instanceof SandboxLoadError &&
      error.code === 'plugin_rejected' &&
      expected.test(error.message),
    `expected a rejection that matches ${expected}`,
  );
}

/** The declared maximum of the memory of a module, which has no other section before it. */
function maximumOf(bytes: Uint8Array): number | undefined {
  const reader = new WasmReader(bytes, 'module');
  reader.take(8);
  while (reader.u8() !== 5) reader.take(reader.u32());
  reader.u32();
  assert.equal(reader.u8(), 1, 'one memory');
  const flags = reader.u8();
  reader.u32();
  return flags === 1 ? reader.u32() : undefined;
}

test('verify() tells what a module imports, exports and needs', async () => {
  const { info } = verify(
    await wat(`(module
      (import "extism:host/env" "var_get" (func (param i64) (result i64)))
      (import "extism:host/user" "schedule.create" (func (param i64) (result i64)))
      (memory (export "memory") 1)
      (func (export "run") (result i32) (i32.const 0))
      (func (export "sum") (param f64 f32) (result i64) (i64.const 0)))`),
    { ...OPTIONS, grants: ['host_function:schedule.create'] },
  );
  assert.deepEqual(info.imports, [
    { module: 'extism:host/env', name: 'var_get' },
    { module: 'extism:host/user', name: 'schedule.create' },
  ]);
  assert.deepEqual(info.exports, [
    { name: 'memory', kind: 'memory' },
    { name: 'run', kind: 'function', signature: ':i' },
    { name: 'sum', kind: 'function', signature: 'Ff:I' },
  ]);
  assert.deepEqual(info.needs, ['vars', 'host_function:schedule.create']);
  checkCallable(info, 'run');
  assert.throws(() => checkCallable(info, 'sum'), /"sum" must take no parameters/);
  assert.throws(() => checkCallable(info, 'memory'), /"memory" is a memory/);
  assert.throws(() => checkCallable(info, 'gone'), /no export "gone"/);
});

test('verify() gives the memory a maximum of what was declared or the cap', async () => {
  const maximum = async (memory: string) =>
    maximumOf(verify(await wat(`(module ${memory})`), OPTIONS).bytes);
  assert.equal(await maximum('(memory 1)'), 64);
  assert.equal(await maximum('(memory 1 5)'), 5);
  assert.equal(await maximum('(memory 1 65536)'), 64);
  assert.equal(await maximum('(memory 64)'), 64);
});

test('verify() leaves a module that the engine takes, without custom sections', async () => {
  const original = await wat(ECHO_WAT);
  const named = Uint8Array.from([...original, ...section(0, 1, 0x61, 0xff, 0xfe)]);
  const { bytes } = verify(named, OPTIONS);
  assert.deepEqual(WebAssembly.Module.exports(new WebAssembly.Module(bytes)), [
    { name: 'memory', kind: 'memory' },
    { name: 'echo', kind: 'function' },
  ]);
  assert.deepEqual(bytes, verify(original, OPTIONS).bytes);
});

test('verify() refuses a file that is no core module, and says what it is', () => {
  refused(new Uint8Array(0), /no WebAssembly module/);
  refused(Uint8Array.from(HEADER.slice(0, 5)), /no WebAssembly module of version 1/);
  refused(new TextEncoder().encode('(module)'), /no WebAssembly module/);
  refused(Uint8Array.from([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]), /component; build it as a core/);
  refused(Uint8Array.from([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), /of version 1/);
  refused(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]), /no WebAssembly module/);
});

test('verify() refuses sections that repeat, lie or stand in the wrong place', () => {
  refused(module(section(1, 0), section(1, 0)), /type section is repeated or out of order/);
  refused(module(section(3, 0), section(1, 0)), /type section is repeated or out of order/);
  refused(module(section(11, 0), section(10, 0)), /code section is repeated or out of order/);
  refused(module(section(14, 0)), /unknown section with id 14/);
  refused(module([1, 5, 0]), /ends too early/);
  refused(module([1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), /does not fit 32 bits/);
  refused(module([1, 0x80, 0x80, 0x80, 0x80, 0x10]), /does not fit 32 bits/);
  refused(module([1]), /ends too early/);
  refused(module(section(1, 3)), /ends too early/);
  refused(module(section(1, 0, 0)), /type section has bytes after its end/);
  refused(module(section(1, 1, 0x60, 0, 0), section(3, 1, 0)), /not one body for each function/);
  refused(module(section(1, 1, 0x60, 0, 0), section(3, 1, 7)), /function 0 has no type/);
  refused(module(section(7, 1, 1, 0x61, 0, 9)), /exports a function it does not have/);
  refused(module(section(7, 1, 2, 0xc3, 0x28, 0, 9)), /a name in the export section is not UTF-8/);
  refused(module(section(7, 2, 1, 0x61, 2, 0, 1, 0x61, 2, 0)), /export "a" is repeated/);
});

test('verify() refuses what the sandbox does not offer, by name', async () => {
  refused(module(section(5, 1, 4, 1)), /64-bit memory \(memory64\)/);
  refused(module(section(5, 1, 3, 1, 2)), /shared memory \(threads\)/);
  refused(module(section(5, 1, 8, 1)), /own page size/);
  refused(module(section(5, 1, 0x40, 1)), /unknown flags/);
  refused(module(section(5, 2, 0, 1, 0, 1)), /2 memories \(multi-memory\)/);
  refused(module(section(5, 1, 0, 65)), /65 pages of memory .* at most 64/);
  refused(module(section(5, 1, 1, 3, 2)), /maximum of its memory is below/);
  refused(module(section(1, 1, 0x5f, 0)), /\(GC\)/);
  refused(module(section(1, 1, 0x4e, 0)), /\(GC\)/);
  refused(module(section(1, 1, 0x60, 1, 0x6e, 0)), /typed references \(GC\)/);
  refused(module(section(4, 1, 0x6e, 0, 1)), /table of typed references/);
  refused(await wat('(module (table 100001 funcref))'), /table of 100001 entries/);
  refused(await wat(`(module ${'(table 1 funcref)'.repeat(17)})`), /17 tables; at most 16/);
});

test('verify() refuses any import that is not on the list, with its exact type', async () => {
  const imports = async (entry: string) => await wat(`(module (import ${entry}))`);
  const env = '"extism:host/env"';
  refused(await imports('"env" "memory" (memory 1)'), /imports memory "env.memory"/);
  refused(await imports('"env" "t" (table 1 funcref)'), /imports table "env.t"/);
  refused(await imports(`${env} "alloc" (global i32)`), /imports global/);
  refused(await imports(`${env} "alloc" (tag)`), /imports tag/);
  refused(
    await imports('"env" "abort" (func)'),
    /"env.abort", which does not exist .* --use abort=/,
  );
  refused(await imports('"env" "extism_alloc" (func)'), /current Extism PDK/);
  for (const name of ['__proto__', 'constructor', 'toString', 'memory', 'reset', 'input_set', '']) {
    refused(await imports(`${env} "${name}" (func)`), /does not exist in the sandbox/);
    refused(await imports(`"${name}" "alloc" (func)`), /does not exist in the sandbox/);
    refused(await imports(`"wasi_snapshot_preview1" "${name}" (func)`), /does not exist/);
  }
  refused(await imports('"node" "fs" (func)'), /"node.fs"/);
  refused(await imports('"wasi_unstable" "fd_write" (func)'), /does not exist/);
  refused(
    await imports(`${env} "alloc" (func (param i32) (result i32))`),
    /"extism:host\/env.alloc" as \(i32\) -> i32; its type is \(i64\) -> i64/,
  );
  refused(await imports('"wasi_snapshot_preview1" "fd_write" (func)'), /its type is \(i32, i32,/);
});

test('verify() lets a user function in with its grant only', async () => {
  const bytes = await wat('(module (import "extism:host/user" "a.b" (func (param i64))))');
  refused(bytes, /"extism:host\/user.a.b", which is not granted; .*"host_function:a.b"/);
  refused(bytes, /not granted/, { ...OPTIONS, grants: ['host_function:a', 'host_function:*'] });
  verify(bytes, { ...OPTIONS, grants: ['host_function:a.b'] });
  const float = await wat('(module (import "extism:host/user" "a.b" (func (param f64))))');
  refused(float, /integers only/, { ...OPTIONS, grants: ['host_function:a.b'] });
});

test('verify() escapes a name before it shows it', async () => {
  refused(
    await wat('(module (import "env" "\\1b[2J\\0a\\e2\\80\\ae" (func)))'),
    /"env\.\\u\{1b\}\[2J\\n\\u\{202e\}"/,
  );
});

test('verify() keeps the limits of a module', async () => {
  refused(new Uint8Array(MODULE_LIMITS.bytes + 1), /passes the limit/);
  const types = Array.from({ length: MODULE_LIMITS.types + 1 }, () => [0x60, 0, 0]).flat();
  refused(module(section(1, ...encodeU32(MODULE_LIMITS.types + 1), ...types)), /20001 types/);
  refused(module(section(3, ...encodeU32(MODULE_LIMITS.functions + 1))), /100001 functions/);
  refused(module(section(7, ...encodeU32(MODULE_LIMITS.exports + 1))), /2001 exports/);
  refused(module(section(2, ...encodeU32(MODULE_LIMITS.imports + 1))), /1001 imports/);
  const name = Array.from({ length: 513 }, () => 0x61);
  refused(module(section(7, 1, ...encodeU32(513), ...name, 2, 0)), /name of 513 bytes/);
  const body = `(func ${'(drop (i32.const 0))'.repeat(400_000)})`;
  refused(await wat(`(module ${body})`), /function of 1200002 bytes/);
});

test('verify() answers any bytes with a module or a rejection', async () => {
  const seeds = [await wat(ECHO_WAT), module(section(1, 1, 0x60, 0, 0), section(5, 1, 0, 1))];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.option(fc.nat(), { nil: undefined }),
      (seed, changes, cut) => {
        const bytes = seed.slice(0, cut === undefined ? seed.length : cut % (seed.length + 1));
        for (const [at, value] of changes) bytes[at % Math.max(1, bytes.length)] = value;
        try {
          verify(verify(bytes, OPTIONS).bytes, OPTIONS);
        } catch (error) {
          assert.ok(error instanceof SandboxLoadError, `threw ${String(error)}`);
        }
      },
    ),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      try {
        verify(Uint8Array.from([...HEADER, ...tail]), OPTIONS);
      } catch (error) {
        assert.ok(error instanceof SandboxLoadError, `threw ${String(error)}`);
      }
    }),
    { numRuns: 2_000 },
  );
});
