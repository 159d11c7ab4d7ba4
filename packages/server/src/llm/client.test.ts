import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../test/fake-clock.ts';
import { collect, toError, toFinish, toText } from '../../test/llm-events.ts';
import { startProviderServer } from '../../test/provider-server.ts';
import { Secret } from '../lib/secret.ts';
import { BreakerRegistry } from './breaker.ts';
import { createModelClient } from './client.ts';
import type { ProviderConfig } from './target.ts';

const apiKey = new Secret('key');

test('createModelClient() waits as a 429 says and then answers', async () => {
  await using server = await startProviderServer();
  const clock = createFakeClock();
  const error = { type: 'rate_limit_error', message: 'Slow down' };
  server.script({ status: 429, error, headers: { 'retry-after': '2' } });
  const primary: ProviderConfig = {
    provider: 'anthropic',
    model: 'm',
    baseUrl: server.url,
    apiKey,
  };
  const events = collect(createModelClient({ primary }, { clock }));
  await clock.sleeping(2000);
  clock.advance(2000);
  assert.match(toText(toFinish(await events).message), /^Hello/);
  assert.equal(server.requests.length, 2);
});

test('createModelClient() falls back and says who answered', async () => {
  await using server = await startProviderServer();
  const primary: ProviderConfig = { provider: 'anthropic', model: 'm', apiKey: undefined };
  const fallback: ProviderConfig = {
    provider: 'openai',
    model: 'other',
    baseUrl: server.url,
    apiKey,
  };
  const client = createModelClient({ primary, fallback }, { clock: createFakeClock() });
  assert.equal(client.model.provider, 'anthropic');
  const finish = toFinish(await collect(client));
  assert.deepEqual(finish.model, { provider: 'openai', model: 'other' });
  assert.deepEqual(finish.usage, server.totals);
});

test('createModelClient() shares what it knows of an outage between agents', async () => {
  const server = await startProviderServer();
  await server.close();
  const clock = createFakeClock();
  const breakers = new BreakerRegistry({ clock, threshold: 1 });
  const open = (model: string): ReturnType<typeof createModelClient> => {
    const primary: ProviderConfig = { provider: 'openai', model, baseUrl: server.url, apiKey };
    return createModelClient({ primary }, { clock, breakers });
  };
  const first = collect(open('a'));
  // The wait before the second try, which then finds the circuit open.
  await clock.sleeping((ms) => ms >= 250 && ms <= 500);
  clock.advance(500);
  assert.match(toError(await first).error.message, /circuit open/);
  assert.match(toError(await collect(open('b'))).error.message, /circuit open/);
});

test('createModelClient() opens the demo provider without a key', async () => {
  const primary: ProviderConfig = { provider: 'demo', model: 'demo', apiKey: undefined };
  const clock = { now: () => 0, sleep: async () => {} };
  const finish = toFinish(await collect(createModelClient({ primary }, { clock })));
  assert.match(toText(finish.message), /^\[demo model\]/);
});

test('createModelClient() refuses a base URL it cannot use', () => {
  const primary: ProviderConfig = { provider: 'openai', model: 'm', baseUrl: 'nowhere', apiKey };
  assert.throws(() => createModelClient({ primary }, { clock: createFakeClock() }), {
    code: 'config_error',
  });
});
