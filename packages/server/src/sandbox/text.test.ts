import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { escapeText } from './text.ts';

test('escapeText() leaves nothing that moves, hides or forges', () => {
  assert.equal(escapeText('a\r\nb\tc\u001b[31m', 100), 'a\\r\\nb\\tc\\u{1b}[31m');
  assert.equal(escapeText('\u202eabc\u200b\u{e0041}', 100), '\\u{202e}abc\\u{200b}\\u{e0041}');
  assert.equal(escapeText('lone \ud800', 100), 'lone \\u{d800}');
  assert.equal(escapeText('größe 😀', 100), 'größe 😀');
});

test('escapeText() keeps its limit and never cuts inside a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 3, max: 60 }), (text, max) => {
      const safe = escapeText(text, max);
      assert.ok(Buffer.byteLength(safe) <= max);
      assert.ok(safe.isWellFormed());
      assert.equal(Buffer.from(safe).toString('utf8'), safe);
    }),
  );
  assert.equal(escapeText('ääääää', 9), 'äää…');
});
