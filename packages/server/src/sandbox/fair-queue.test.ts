import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from './fair-queue.ts';

test('FairQueue takes one item from each session in turn', () => {
  const queue = new FairQueue<string>({ maxItems: 10, maxPerSession: 5 });
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item.slice(0, 1), item);
  const order = Array.from({ length: 6 }, () => queue.shift());
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  assert.equal(queue.shift(), undefined);
});

test('FairQueue is bounded as a whole and for each session', () => {
  const queue = new FairQueue<number>({ maxItems: 3, maxPerSession: 2 });
  assert.deepEqual(
    [queue.push('a', 1), queue.push('a', 2), queue.push('a', 3), queue.push('b', 4)],
    [true, true, false, true],
  );
  assert.equal(queue.push('c', 5), false);
  assert.equal(queue.remove(2), true);
  assert.equal(queue.remove(2), false);
  assert.equal(queue.size, 2);
  assert.equal(queue.push('c', 5), true);
});
