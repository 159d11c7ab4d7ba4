import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as fc from 'fast-check';
import { HOST_FUNCTIONS, KERNEL_FUNCTIONS } from '../child/abi.ts';
import { testKernel } from '../fixtures/modules.ts';

interface KernelExports {
  readonly memory: WebAssembly.Memory;
  readonly max_pages: WebAssembly.Global;
  readonly output_offset: WebAssembly.Global;
  readonly output_length: WebAssembly.Global;
  readonly alloc: (n: bigint) => bigint;
  readonly free: (p: bigint) => void;
  readonly length: (p: bigint) => bigint;
  readonly length_unsafe: (p: bigint) => bigint;
  readonly load_u8: (p: bigint) => number;
  readonly load_u64: (p: bigint) => bigint;
  readonly store_u8: (p: bigint, value: number) => void;
  readonly store_u64: (p: bigint, value: bigint) => void;
  readonly input_set: (p: bigint, n: bigint) => void;
  readonly input_length: () => bigint;
  readonly input_offset: () => bigint;
  readonly input_load_u8: (offset: bigint) => number;
  readonly input_load_u64: (offset: bigint) => bigint;
  readonly output_set: (p: bigint, n: bigint) => void;
  readonly error_set: (p: bigint) => void;
  readonly error_get: () => bigint;
}

const TRAP = { name: 'RuntimeError' };
const OUTSIDE = [0n, 8n, 1_023n, 1n << 32n, (1n << 32n) + 1_032n, (1n << 63n) - 1n, -1n, -8n];

let compiled: WebAssembly.Module;

before(async () => {
  compiled = new WebAssembly.Module(await testKernel());
});

function kernel(maxPages = 4): KernelExports {
  const exports = new WebAssembly.Instance(compiled).exports as unknown as KernelExports;
  exports.max_pages.value = maxPages;
  return exports;
}

test('the kernel exports every kernel function of the ABI and no host function', () => {
  const names = WebAssembly.Module.exports(compiled).map((entry) => entry.name);
  for (const name of Object.keys(KERNEL_FUNCTIONS)) assert.ok(names.includes(name), name);
  for (const name of Object.keys(HOST_FUNCTIONS)) assert.ok(!names.includes(name), name);
});

test('alloc() gives blocks that know their length, aligned to 8 bytes', () => {
  const { alloc, length, length_unsafe } = kernel();
  for (const n of [1n, 7n, 16n, 17n, 64n, 65n, 80n, 81n, 128n, 129n, 4_095n, 65_536n]) {
    const block = alloc(n);
    assert.equal(block % 8n, 0n);
    assert.equal(length(block), n);
    assert.equal(length_unsafe(block), n);
  }
});

test('alloc() of nothing or of too much gives 0 and takes nothing', () => {
  const { alloc, memory } = kernel(2);
  for (const n of [0n, 2n * 65_536n, 1n << 31n, 1n << 32n, (1n << 32n) + 8n, 1n << 63n, -1n]) {
    assert.equal(alloc(n), 0n, `alloc(${n})`);
  }
  assert.notEqual(alloc(100_000n), 0n);
  assert.equal(memory.buffer.byteLength, 2 * 65_536);
  assert.equal(alloc(100_000n), 0n);
});

test('free() makes the space available again, once', () => {
  const { alloc, free, length } = kernel();
  const first = alloc(100n);
  free(first);
  free(first);
  assert.equal(length(first), 0n);
  assert.equal(alloc(98n), first);
  assert.notEqual(alloc(98n), first);
  for (const p of OUTSIDE) free(p);
  free(first + 8n);
  assert.equal(length(first), 98n);
});

test('loads and stores outside of the blocks trap', () => {
  const { alloc, load_u8, load_u64, store_u8, store_u64, memory } = kernel();
  const block = alloc(16n);
  store_u64(block, 0x0102030405060708n);
  assert.equal(load_u64(block), 0x0102030405060708n);
  assert.equal(load_u8(block), 8);
  const end = block + 16n;
  for (const p of [...OUTSIDE, end, BigInt(memory.buffer.byteLength)]) {
    assert.throws(() => load_u8(p), TRAP, `load_u8(${p})`);
    assert.throws(() => store_u8(p, 1), TRAP, `store_u8(${p})`);
  }
  for (const p of [...OUTSIDE, end - 7n, end]) {
    assert.throws(() => load_u64(p), TRAP, `load_u64(${p})`);
    assert.throws(() => store_u64(p, 1n), TRAP, `store_u64(${p})`);
  }
  store_u8(end - 1n, 255);
  assert.equal(load_u8(end - 1n), 255);
});

test('the input is read inside its bounds only', () => {
  const { alloc, store_u64, input_set, input_load_u8, input_load_u64, input_length, free } =
    kernel();
  assert.equal(input_length(), 0n);
  assert.throws(() => input_load_u8(0n), TRAP);
  const block = alloc(16n);
  store_u64(block, 7n);
  input_set(block, 10n);
  assert.equal(input_load_u64(0n), 7n);
  assert.equal(input_load_u8(9n), 0);
  for (const offset of [10n, 1n << 32n, -1n, -8n, (1n << 63n) - 1n]) {
    assert.throws(() => input_load_u8(offset), TRAP);
    assert.throws(() => input_load_u64(offset), TRAP);
  }
  assert.throws(() => input_load_u64(3n), TRAP);
  free(block);
  assert.equal(input_length(), 0n);
});

test('output_set() takes a range of blocks, or nothing', () => {
  const { alloc, output_set, output_offset, output_length } = kernel();
  const block = alloc(32n);
  output_set(block + 4n, 12n);
  assert.deepEqual([output_offset.value, output_length.value], [Number(block) + 4, 12]);
  for (const [p, n] of [
    [block, 33n],
    [block, -1n],
    [block, 1n << 32n],
    [-1n, 1n],
    [0n, 8n],
    [-8n, 16n],
  ] as const) {
    assert.throws(() => output_set(p, n), TRAP, `output_set(${p}, ${n})`);
  }
  output_set(-1n, 0n);
  assert.deepEqual([output_offset.value, output_length.value], [0, 0]);
});

test('error_set() takes a block or 0', () => {
  const { alloc, error_set, error_get, free } = kernel();
  const block = alloc(4n);
  error_set(block);
  assert.equal(error_get(), block);
  free(block);
  for (const p of [block, block + 8n, 8n, 1n << 32n, -8n]) {
    assert.throws(() => error_set(p), TRAP, `error_set(${p})`);
  }
  error_set(0n);
  assert.equal(error_get(), 0n);
});

test('blocks in use never overlap', () => {
  const step = fc.oneof(
    fc.record({ alloc: fc.integer({ min: 1, max: 3_000 }) }),
    fc.record({ free: fc.nat(30) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { alloc, free, length } = kernel(16);
      const blocks = new Map<bigint, bigint>();
      for (const item of steps) {
        if ('alloc' in item) {
          const n = BigInt(item.alloc);
          const block = alloc(n);
          assert.notEqual(block, 0n);
          for (const [p, size] of blocks) assert.ok(block >= p + size || block + n <= p);
          blocks.set(block, n);
        } else {
          const block = [...blocks.keys()][item.free];
          if (block === undefined) continue;
          free(block);
          blocks.delete(block);
        }
        for (const [p, size] of blocks) assert.equal(length(p), size);
      }
    }),
    { numRuns: 200 },
  );
});

test('a guest that writes over the headers gets a trap or nonsense, and the bounds hold', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(120), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })), {
        maxLength: 20,
      }),
      (writes) => {
        const { alloc, free, length, store_u64, memory } = kernel(2);
        const blocks = [alloc(40n), alloc(40n), alloc(40n)];
        free(blocks[1] ?? 0n);
        for (const [offset, value] of writes) {
          try {
            store_u64(1_024n + BigInt(offset), value);
            const block = alloc(40n);
            length(block);
            free(block);
          } catch (error) {
            assert.equal((error as Error).name, 'RuntimeError');
          }
        }
        assert.ok(memory.buffer.byteLength <= 2 * 65_536);
      },
    ),
    { numRuns: 300 },
  );
});
