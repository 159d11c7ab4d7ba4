import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatSessionKey, parseSessionKey, type SessionKeyParts } from './session-key.ts';

// Short parts over the characters that matter make collisions likely if any are possible.
const part = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', ':', '=', '3', 'é', '😀', '/', '.'), maxLength: 3 }),
  fc.string({ unit: fc.constantFrom('\ud800', '\ud801', '\udc00', '\ufffd'), maxLength: 3 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const parts: fc.Arbitrary<SessionKeyParts> = fc.record(
  { agent: part, channel: part, account: part, peer: part },
  { noNullPrototype: true },
);

test('formatSessionKey() gives different addresses different keys', () => {
  fc.assert(
    fc.property(parts, parts, (left, right) => {
      const same =
        left.agent === right.agent &&
        left.channel === right.channel &&
        left.account === right.account &&
        left.peer === right.peer;
      assert.equal(formatSessionKey(left) === formatSessionKey(right), same);
    }),
    { numRuns: 2000 },
  );
});

test('parseSessionKey() gives back what formatSessionKey() was given', () => {
  fc.assert(
    fc.property(parts, (value) => {
      assert.deepEqual(parseSessionKey(formatSessionKey(value)), value);
    }),
    { numRuns: 2000 },
  );
});

test('formatSessionKey() writes only characters that are safe in subjects and file names', () => {
  fc.assert(
    fc.property(parts, (value) => {
      assert.match(formatSessionKey(value), /^(?:[A-Za-z0-9_=-]*:){3}[A-Za-z0-9_=-]*$/);
    }),
  );
});

test('formatSessionKey() keeps plain parts readable and escapes the others', () => {
  assert.equal(
    formatSessionKey({ agent: 'main', channel: 'web', account: 'a:b', peer: '../é' }),
    'main:web:a=3ab:=2e=2e=2f=c3=a9',
  );
  assert.notEqual(
    formatSessionKey({ agent: 'm', channel: 'c', account: 'a:b', peer: 'c' }),
    formatSessionKey({ agent: 'm', channel: 'c', account: 'a', peer: 'b:c' }),
  );
});

test('parseSessionKey() refuses what formatSessionKey() never writes', () => {
  for (const key of [
    '',
    'a:b:c',
    'a:b:c:d:e',
    'a:b:c:=4',
    'a:b:c:=61',
    'a:b:c:=C3=A9',
    'a:b:c:=c3',
  ]) {
    assert.equal(parseSessionKey(key), undefined, key);
  }
});
