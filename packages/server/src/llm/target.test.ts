import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, toError, toFinish } from '../../test/llm-events.ts';
import { startProviderServer } from '../../test/provider-server.ts';
import { ExoclawError } from '../lib/error.ts';
import { Secret } from '../lib/secret.ts';
import { createProvider } from './ai-sdk.ts';
import { resolveBaseUrl } from './target.ts';

test('resolveBaseUrl() adds the usual path to an address without one', () => {
  assert.equal(resolveBaseUrl('anthropic', 'http://127.0.0.1:8080'), 'http://127.0.0.1:8080/v1');
  assert.equal(resolveBaseUrl('openai', 'http://127.0.0.1:8080/'), 'http://127.0.0.1:8080/v1');
  assert.equal(resolveBaseUrl('google', 'https://proxy.example'), 'https://proxy.example/v1beta');
});

test('resolveBaseUrl() keeps a path that is there', () => {
  assert.equal(resolveBaseUrl('openai', 'http://127.0.0.1:1/v1/'), 'http://127.0.0.1:1/v1');
  assert.equal(resolveBaseUrl('openai', 'https://a.example/x/y'), 'https://a.example/x/y');
});

test('resolveBaseUrl() knows where a local ollama listens', () => {
  assert.equal(resolveBaseUrl('ollama', undefined), 'http://127.0.0.1:11434/v1');
});

for (const url of [
  'not a url',
  'ftp://host/v1',
  'http://user:secret@host/v1',
  'http://host/v1?key=secret',
  'http://host/v1#x',
]) {
  test(`resolveBaseUrl() refuses ${url} without repeating it`, () => {
    assert.throws(
      () => resolveBaseUrl('openai', url),
      (error: unknown) =>
        error instanceof ExoclawError &&
        error.code === 'config_error' &&
        !error.message.includes('secret'),
    );
  });
}

test('resolveBaseUrl() asks for an address where a provider has none', () => {
  assert.throws(() => resolveBaseUrl('openai-compatible', undefined), /set base_url/);
});

test('createProvider() reaches a base URL with and without /v1', async () => {
  await using server = await startProviderServer();
  for (const provider of ['anthropic', 'openai'] as const) {
    for (const baseUrl of [server.url, `${server.url}/v1`, `${server.url}/v1/`]) {
      const apiKey = new Secret('key');
      toFinish(await collect(createProvider({ provider, model: 'm', baseUrl, apiKey })));
    }
  }
  const paths = server.requests.map(({ path }) => path);
  assert.deepEqual([...new Set(paths)], ['/v1/messages', '/v1/chat/completions']);
});

test('a stream without a key says how to add one, and asks nobody', async () => {
  await using server = await startProviderServer();
  for (const provider of ['anthropic', 'openai', 'google'] as const) {
    const config = { provider, model: 'm', baseUrl: server.url, apiKey: undefined };
    const { error } = toError(await collect(createProvider(config)));
    assert.equal(error.code, 'no_api_key');
    assert.match(error.message, new RegExp(`"${provider}".*exoclaw onboard`));
    assert.equal(error.retryable, false);
  }
  assert.equal(server.requests.length, 0);
});
