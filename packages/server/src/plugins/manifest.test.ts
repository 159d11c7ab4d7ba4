import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseManifest } from './manifest.ts';

const SCHEMA = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };

function manifest(value: unknown) {
  return parseManifest(JSON.stringify(value));
}

test('parseManifest() reads a plugin with one tool and one with several', () => {
  const one = manifest({ name: 'echo', description: 'Repeats', input_schema: SCHEMA });
  assert.equal(one.type === 'tool' && one.several, false);
  const many = manifest({
    name: 'notes',
    tools: [
      { name: 'note-add', description: '', input_schema: SCHEMA },
      { name: 'note-list', description: '', input_schema: SCHEMA },
    ],
  });
  assert.deepEqual(many.type === 'tool' ? many.tools.map(({ name }) => name) : [], [
    'note-add',
    'note-list',
  ]);
});

test('parseManifest() reads a channel under either name of its type', () => {
  for (const key of ['type', 'plugin_type']) {
    const channel = manifest({ name: 'mock', channel: 'mock', [key]: 'channel_adapter' });
    assert.equal(channel.type, 'channel_adapter');
  }
});

test('a manifest can not smuggle control, bidi or invisible characters into a description', () => {
  const hidden = 'a\u001b[31m\u202Eb\u{E0041}\nc';
  const tool = manifest({ name: 'x', description: hidden, input_schema: SCHEMA });
  assert.equal(tool.description, 'a[31mb\nc');
});

test('parseManifest() refuses names a model provider or a terminal would trip over', () => {
  for (const name of ['', 'a b', '../x', 'ü', 'x'.repeat(65), 'a\nb']) {
    assert.throws(() => manifest({ name, input_schema: SCHEMA }), SyntaxError, name);
  }
});

test('tool arguments are checked against the schema, in words a model can act on', () => {
  const tool = manifest({ name: 'x', input_schema: SCHEMA });
  assert.ok(tool.type === 'tool');
  const check = tool.tools[0]?.check ?? (() => 'missing');
  assert.equal(check({ text: 'hi' }), undefined);
  assert.match(check({ text: 1 }) ?? '', /text: .*string/);
  assert.match(check('{"text":"hi"}') ?? '', /object/);
});

test('a schema that is too large, too deep, remote or of another type is refused', () => {
  let deep: unknown = { type: 'string' };
  for (let level = 0; level < 40; level += 1) deep = { type: 'object', properties: { a: deep } };
  const bad = [
    deep,
    { type: 'string' },
    { ...SCHEMA, description: 'x'.repeat(70_000) },
    { type: 'object', properties: { a: { $ref: 'https://example.com/schema' } } },
    undefined,
  ];
  for (const schema of bad) {
    assert.throws(() => manifest({ name: 'x', input_schema: schema }), SyntaxError);
  }
});

test('a regular expression of a plugin author is never run by the host', () => {
  const evil = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
  const tool = manifest({ name: 'x', input_schema: evil });
  assert.ok(tool.type === 'tool');
  assert.equal(tool.tools[0]?.check({ a: `${'a'.repeat(64)}!` }), undefined);
});

test('a property may be named like a keyword', () => {
  const schema = { type: 'object', properties: { pattern: { type: 'number' } } };
  const tool = manifest({ name: 'x', input_schema: schema });
  assert.ok(tool.type === 'tool');
  assert.match(tool.tools[0]?.check({ pattern: 'text' }) ?? '', /pattern/);
});

test('parseManifest() answers any text with a manifest or a SyntaxError', () => {
  const anyJson = fc.oneof(
    fc.json(),
    fc.string(),
    fc.object().map((value) => JSON.stringify(value)),
  );
  fc.assert(
    fc.property(anyJson, (input) => {
      try {
        parseManifest(input);
      } catch (error) {
        assert.ok(error instanceof SyntaxError);
      }
    }),
  );
});
