import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../test/fake-clock.ts';
import { collect, toError, toFinish, toRequest } from '../../test/llm-events.ts';
import {
  createScriptedProvider,
  toErrorEvent,
  toFinishEvent,
  toTextEvent,
} from '../../test/scripted-provider.ts';
import { withRetry } from './retry.ts';

const FINE = [toTextEvent('Hi'), toFinishEvent('Hi')];
const random = (): number => 1;

test('withRetry() asks again with growing waits until it works', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([[toErrorEvent()], [toErrorEvent()], FINE]);
  const events = collect(withRetry(provider, { clock, random }));
  for (const waitMs of [500, 1000]) {
    await clock.sleeping(waitMs);
    clock.advance(waitMs);
  }
  toFinish(await events);
  assert.equal(provider.calls, 3);
});

test('withRetry() spreads its waits between half and all of the back-off', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([[toErrorEvent()], FINE]);
  const events = collect(withRetry(provider, { clock, random: () => 0 }));
  await clock.sleeping(250);
  clock.advance(250);
  toFinish(await events);
});

test('withRetry() passes the failure on after its last try', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([[toErrorEvent()]]);
  const events = collect(withRetry(provider, { clock, random, attempts: 2 }));
  await clock.sleeping(500);
  clock.advance(500);
  toError(await events);
  assert.equal(provider.calls, 2);
});

test('withRetry() waits as long as the provider asks', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([[toErrorEvent({ retryAfterMs: 7000 })], FINE]);
  const events = collect(withRetry(provider, { clock, random }));
  await clock.sleeping(7000);
  clock.advance(7000);
  toFinish(await events);
});

test('withRetry() does not wait longer than its limit', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([[toErrorEvent({ retryAfterMs: 90_000 })], FINE]);
  toError(await collect(withRetry(provider, { clock })));
  assert.equal(provider.calls, 1);
});

test('withRetry() never starts an answer over', async () => {
  const provider = createScriptedProvider([[toTextEvent('Half'), toErrorEvent()], FINE]);
  toError(await collect(withRetry(provider, { clock: createFakeClock() })));
  assert.equal(provider.calls, 1);
});

test('withRetry() leaves a failure alone that asking again cannot help', async () => {
  const provider = createScriptedProvider([[toErrorEvent({ retryable: false })], FINE]);
  toError(await collect(withRetry(provider, { clock: createFakeClock() })));
  assert.equal(provider.calls, 1);
});

test('withRetry() ends with "aborted" when cancelled while it waits', async () => {
  const clock = createFakeClock();
  const abort = new AbortController();
  const provider = createScriptedProvider([[toErrorEvent()], FINE]);
  const events = collect(withRetry(provider, { clock, random }), toRequest(), abort.signal);
  await clock.sleeping(500);
  abort.abort();
  assert.equal(toError(await events).error.code, 'aborted');
  assert.equal(provider.calls, 1);
});
