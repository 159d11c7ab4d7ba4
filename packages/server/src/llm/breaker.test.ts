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
import { CircuitBreaker, withBreaker } from './breaker.ts';

const FINE = [toTextEvent('Hi'), toFinishEvent('Hi')];
const DOWN = [toErrorEvent()];

test('withBreaker() fails at once after five failures in a row', async () => {
  const provider = createScriptedProvider([DOWN]);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock: createFakeClock() }));
  for (let call = 0; call < 5; call += 1) toError(await collect(guarded));
  const { error } = toError(await collect(guarded));
  assert.equal(
    error.message,
    'provider error: anthropic keeps failing, circuit open, next try in 30 s',
  );
  assert.equal(error.retryable, false);
  assert.equal(provider.calls, 5);
});

test('withBreaker() counts failures in a row only', async () => {
  const scripts = [DOWN, DOWN, DOWN, DOWN, FINE, DOWN, DOWN, DOWN, DOWN, FINE];
  const provider = createScriptedProvider(scripts);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock: createFakeClock() }));
  for (const _ of scripts) await collect(guarded);
  assert.equal(provider.calls, scripts.length);
});

test('withBreaker() takes a refused request as a sign that the provider is there', async () => {
  const provider = createScriptedProvider([[toErrorEvent({ status: 429 })]]);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock: createFakeClock() }));
  for (let call = 0; call < 9; call += 1) toError(await collect(guarded));
  assert.equal(provider.calls, 9);
});

test('withBreaker() counts 5xx as failures', async () => {
  const provider = createScriptedProvider([[toErrorEvent({ status: 503 })]]);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock: createFakeClock() }));
  for (let call = 0; call < 9; call += 1) toError(await collect(guarded));
  assert.equal(provider.calls, 5);
});

test('withBreaker() closes the circuit when the trial call works', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([DOWN, DOWN, FINE]);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock, threshold: 2 }));
  for (let call = 0; call < 3; call += 1) toError(await collect(guarded));
  clock.advance(30_000);
  toFinish(await collect(guarded));
  toFinish(await collect(guarded));
  assert.equal(provider.calls, 4);
});

test('withBreaker() stays open when the trial call fails', async () => {
  const clock = createFakeClock();
  const provider = createScriptedProvider([DOWN]);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock, threshold: 2 }));
  for (let call = 0; call < 2; call += 1) toError(await collect(guarded));
  clock.advance(30_000);
  toError(await collect(guarded));
  assert.equal(provider.calls, 3);
  assert.match(toError(await collect(guarded)).error.message, /circuit open, next try in 30 s/);
  assert.equal(provider.calls, 3);
});

test('withBreaker() lets one trial call through at a time', async () => {
  const clock = createFakeClock();
  const breaker = new CircuitBreaker({ clock, threshold: 1 });
  assert.equal(breaker.enter(), undefined);
  breaker.leave('failure');
  clock.advance(30_000);
  assert.equal(breaker.enter(), undefined);
  assert.equal(breaker.enter(), 1000);
  breaker.leave('unknown');
  assert.equal(breaker.enter(), undefined);
});

test('withBreaker() frees the trial call when its reader leaves', async () => {
  const clock = createFakeClock();
  const usage = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0 };
  const early = { type: 'usage', model: { provider: 'anthropic', model: 'm' }, usage } as const;
  const provider = createScriptedProvider([DOWN, [early, ...FINE], FINE]);
  const guarded = withBreaker(provider, new CircuitBreaker({ clock, threshold: 1 }));
  toError(await collect(guarded));
  clock.advance(30_000);
  for await (const _ of guarded.stream(toRequest(), { signal: new AbortController().signal }))
    break;
  toFinish(await collect(guarded));
});
