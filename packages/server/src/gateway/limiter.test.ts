import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../test/fake-clock.ts';
import { KeyedLimiter } from './limiter.ts';

test('take() allows a minute of requests at once and then one as time passes', () => {
  const clock = createFakeClock();
  const limiter = new KeyedLimiter(60, 10, clock);
  const taken = Array.from({ length: 61 }, () => limiter.take('a'));
  assert.equal(taken.filter(Boolean).length, 60);
  assert.equal(limiter.take('b'), true);
  clock.advance(999);
  assert.equal(limiter.take('a'), false);
  clock.advance(1);
  assert.equal(limiter.take('a'), true);
  assert.equal(limiter.take('a'), false);
});

test('take() never saves up more than a minute, nor loses when the clock goes back', () => {
  const clock = createFakeClock();
  const limiter = new KeyedLimiter(2, 10, clock);
  limiter.take('a');
  clock.advance(3_600_000);
  assert.deepEqual(
    [1, 2, 3].map(() => limiter.take('a')),
    [true, true, false],
  );
  clock.advance(-60_000);
  assert.equal(limiter.take('a'), false);
});

test('take() forgets the least recently used key beyond its bound', () => {
  const clock = createFakeClock();
  const limiter = new KeyedLimiter(1, 2, clock);
  assert.equal(limiter.take('a'), true);
  assert.equal(limiter.take('b'), true);
  assert.equal(limiter.take('a'), false);
  assert.equal(limiter.take('c'), true);
  assert.equal(limiter.size, 2);
  assert.equal(limiter.take('a'), false, 'used lately, so still remembered');
  assert.equal(limiter.take('b'), true, 'forgotten');
});
