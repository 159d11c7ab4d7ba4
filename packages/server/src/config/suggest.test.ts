import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { closest, didYouMean, editDistance } from './suggest.ts';

test('editDistance() counts a swap of neighbours as one edit', () => {
  assert.equal(editDistance('prot', 'port'), 1);
  assert.equal(editDistance('anthropic', 'antropic'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('', 'abc'), 3);
});

test('editDistance() is symmetric, and zero for the same word only', () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, (left, right) => {
      const distance = editDistance(left, right);
      assert.equal(distance, editDistance(right, left));
      assert.equal(distance === 0, left === right);
      assert.ok(distance >= Math.abs(left.length - right.length));
      assert.ok(distance <= Math.max(left.length, right.length));
    }),
  );
});

test('closest() takes the nearest word within two edits and no word for a very short one', () => {
  assert.equal(closest('staus', ['start', 'status']), 'status');
  assert.equal(closest('max-Tokens', ['max_tokens']), 'max_tokens');
  assert.equal(closest('gatewya', ['chat']), undefined);
  assert.equal(closest('ab', ['xy', 'q']), undefined);
  assert.equal(closest('a'.repeat(1e6), ['a']), undefined);
  assert.equal(didYouMean('confg', ['config']), ' (did you mean "config"?)');
  assert.equal(didYouMean('zzz', ['config']), '');
});
