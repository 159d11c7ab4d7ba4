import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as fc from 'fast-check';
import { buildKernel, buildPlugins, type Built } from '../../../scripts/build-wasm.ts';
import type { Sandbox, SandboxPlugin } from '../src/sandbox/plugin.ts';
import { openSandbox } from '../src/sandbox/sandbox.ts';

const plugins = new Map<string, SandboxPlugin>();
let built: readonly Built[];
let sandbox: Sandbox;

before(async () => {
  await buildKernel();
  built = await buildPlugins();
  sandbox = await openSandbox();
  for (const item of built) {
    const name = path.basename(item.path, '.wasm');
    const bytes = await readFile(item.path);
    plugins.set(name, await sandbox.load({ name, bytes, grants: [] }));
  }
});

after(async () => {
  await sandbox[Symbol.asyncDispose]();
});

/** The parsed output, or the error's code. */
async function call(plugin: string, name: string, input: unknown): Promise<unknown> {
  const text = typeof input === 'string' ? input : JSON.stringify(input);
  const result = await plugins.get(plugin)?.call(name, text);
  if (result?.ok !== true) return result?.error.code;
  return JSON.parse(Buffer.from(result.output).toString('utf8'));
}

test('buildPlugins() makes small modules, and leaves them alone the second time', async () => {
  assert.deepEqual([...plugins.keys()].toSorted(), ['echo', 'mock-channel']);
  for (const item of built) assert.ok((await stat(item.path)).size < 20_000, item.path);
  for (const item of await buildPlugins()) assert.equal(item.isNew, false);
});

test('the echo plugin describes one tool', async () => {
  assert.deepEqual(await call('echo', 'describe', {}), {
    name: 'echo',
    description: 'Repeats the given text',
    input_schema: {
      type: 'object',
      properties: { text: { type: 'string', description: 'The text to repeat' } },
      required: ['text'],
      additionalProperties: false,
    },
  });
});

test('the echo plugin repeats any text', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
      const expected = { content: text, is_error: false };
      assert.deepEqual(await call('echo', 'handle_tool_call', { text }), expected);
    }),
  );
});

test('the echo plugin takes the member "text" of the object itself, wherever it stands', async () => {
  const member = fc.tuple(fc.string({ maxLength: 5 }), fc.jsonValue());
  await fc.assert(
    fc.asyncProperty(fc.array(member), fc.string(), fc.nat(4), async (others, text, spaces) => {
      const input = { ...Object.fromEntries(others), nested: { text: 'no' }, text };
      const json = JSON.stringify(input, undefined, spaces);
      const expected = { content: text, is_error: false };
      assert.deepEqual(await call('echo', 'handle_tool_call', json), expected);
    }),
  );
});

test('the echo plugin answers a text that is no object with a "text" with an error', async () => {
  for (const input of [
    '',
    '{',
    'null',
    '[]',
    '"text"',
    '{"text"',
    '{"text":',
    '{"text":"',
    '{"text":"a',
    '{"text":"a\\"}',
    '{"text":1}',
    '{"a":"\\"text\\":\\"b\\""}',
    '{"a":{"text":"b"}}',
    '{"text":"a","text":2}',
    '{"text":"a" "b":1}',
  ]) {
    assert.equal(await call('echo', 'handle_tool_call', input), 'guest_error', input);
  }
});

test('the mock channel reads a message and writes an answer', async () => {
  const describe = await call('mock-channel', 'describe', {});
  assert.partialDeepStrictEqual(describe, {
    name: 'mock-channel',
    type: 'channel_adapter',
    channel: 'mock',
    transport: 'webhook',
    verify: { kind: 'none' },
  });
  assert.deepEqual(await call('mock-channel', 'parse_incoming', { text: 'hé\n', user: 'ann' }), {
    content: 'hé\n',
    account: 'mock',
    peer: 'ann',
  });
  assert.deepEqual(
    await call('mock-channel', 'parse_incoming', { id: '7', chat: 'c1', user: 'ann', text: 'hi' }),
    { content: 'hi', account: 'mock', peer: 'c1', message_id: '7' },
  );
  assert.equal(await call('mock-channel', 'parse_incoming', { text: 'hi' }), 'guest_error');
  const answer = await call('mock-channel', 'format_outgoing', { content: 'a "b"', peer: 'ann' });
  assert.deepEqual(answer, { text: 'a "b"' });
});
