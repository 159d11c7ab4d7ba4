import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { countJson, countTokens } from './tokens.ts';

/** The measured rule in its plainest form; it was never under the count of a real tokenizer. */
function countPieces(text: string): number {
  let sum = 0;
  const pieces =
    /([A-Za-z]+)|[0-9]{1,3}|([\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af])|(\p{L})|[^\s]/gu;
  for (const [, word, ideograph, letter] of text.matchAll(pieces)) {
    if (word !== undefined) sum += 1 + Math.max(0, word.length - 7) / 6;
    else if (ideograph === undefined && letter !== undefined) sum += 0.5;
    else sum += 1;
  }
  return sum;
}

const TEXT = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({
    unit: fc.constantFrom('a', 'Z', 'é', '9', ' ', '\n', '\t', ',', '{', 'я', '中'),
    maxLength: 200,
  }),
  fc.lorem({ mode: 'sentences' }),
  fc.json(),
);

test('countTokens() is never under the rule it is built on', () => {
  fc.assert(
    fc.property(TEXT, (text) => {
      assert.ok(countTokens(text) >= countPieces(text) - 1e-9);
    }),
    { numRuns: 2000 },
  );
});

test('countTokens() is an integer, and more text never counts less', () => {
  fc.assert(
    fc.property(TEXT, TEXT, (a, b) => {
      const both = countTokens(a + b);
      assert.ok(Number.isInteger(both));
      assert.ok(both >= countTokens(a));
      assert.ok(both >= countTokens(b) - 1);
    }),
    { numRuns: 2000 },
  );
});

test('countTokens() of two texts apart covers them joined', () => {
  fc.assert(
    fc.property(TEXT, TEXT, (a, b) => {
      // A word that is cut in two has its length counted anew.
      assert.ok(countTokens(`${a}\n${b}`) <= countTokens(a) + countTokens(b) + 2);
    }),
    { numRuns: 1000 },
  );
});

test('countTokens() counts the pieces of prose, code, digits, scripts, blanks and noise', () => {
  assert.equal(countTokens(''), 0);
  assert.equal(countTokens('Hello, world!'), 4);
  assert.equal(countTokens('The quick brown fox jumps over the lazy dog.'), 10);
  assert.equal(countTokens('internationalization'), 4);
  assert.equal(countTokens('camelCaseName'), 3);
  assert.equal(countTokens('1234567'), 3);
  assert.equal(countTokens('a 1'), 3);
  assert.equal(countTokens('你好'), 2);
  assert.equal(countTokens('\u{1F600}'), 3);
  assert.equal(countTokens('if (x) {\n    return 1;\n}'), 13);
  assert.equal(countTokens(' '.repeat(40)), 3);
  assert.equal(countTokens('a'.repeat(1000)), 331);
});

test('countTokens() takes half a megabyte apart without a piece in memory', () => {
  assert.equal(countTokens('word '.repeat(100_000)), 100_001);
});

test('countJson() counts compact JSON, and nothing for what JSON cannot hold', () => {
  assert.equal(countJson({ a: [1, 'x'] }), countTokens('{"a":[1,"x"]}'));
  assert.equal(countJson(undefined), 0);
});
