import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, toError, toFinish, toRequest } from '../../test/llm-events.ts';
import { startProviderServer } from '../../test/provider-server.ts';
import { Secret } from '../lib/secret.ts';
import { createProvider } from './ai-sdk.ts';
import type { LlmRequest, Provider } from './provider.ts';

function make(baseUrl: string): Provider {
  const apiKey = new Secret('key');
  return createProvider({ provider: 'google', model: 'test-model', baseUrl, apiKey });
}

test('google provider sends a thought signature back with its tool call', async () => {
  await using server = await startProviderServer();
  const toolCall = { id: 'call_a', name: 'echo', input: { text: 'a' }, signature: 'sig-1' };
  server.script({ steps: [{ toolCall }] });
  const provider = make(server.url);
  const { message } = toFinish(await collect(provider));
  // As it comes out of the store again.
  const stored: LlmRequest['messages'][number] = JSON.parse(JSON.stringify(message));
  const result = {
    role: 'tool-result',
    toolCallId: 'call_a',
    name: 'echo',
    content: 'ok',
  } as const;
  const messages = [...toRequest().messages, stored, { ...result, isError: false }];
  toFinish(await collect(provider, toRequest({ messages })));
  assert.match(server.requests[1]?.bodyText ?? '', /"thoughtSignature":"sig-1"/);
});

test('google provider keeps the key out of the URL', async () => {
  await using server = await startProviderServer();
  toFinish(await collect(make(server.url)));
  const path = '/v1beta/models/test-model:streamGenerateContent?alt=sse';
  assert.equal(server.requests[0]?.path, path);
});

test('google provider reads the wait it is asked for from the body', async () => {
  await using server = await startProviderServer();
  const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.5s' }];
  const error = { type: 'RESOURCE_EXHAUSTED', message: 'Quota exceeded', details };
  server.script({ status: 429, error });
  assert.equal(toError(await collect(make(server.url))).error.retryAfterMs, 34_500);
});

test('google provider calls a malformed tool call a failure', async () => {
  await using server = await startProviderServer();
  const candidates = [{ index: 0, finishReason: 'MALFORMED_FUNCTION_CALL' }];
  server.script({
    steps: [{ raw: `data: ${JSON.stringify({ candidates })}\n\n` }, { cut: 'end' }],
  });
  const { error } = toError(await collect(make(server.url)));
  assert.match(error.message, /the answer ended with a failure \(MALFORMED_FUNCTION_CALL\)/);
});

test('google request keeps the results of parallel calls in one message', async () => {
  await using server = await startProviderServer();
  const ids = ['call_a', 'call_b'];
  const messages: LlmRequest['messages'] = [
    ...toRequest().messages,
    {
      role: 'assistant',
      content: ids.map((id) => ({ type: 'tool-call', id, name: 'echo', input: {} })),
    },
    ...ids.map((toolCallId) => ({
      role: 'tool-result' as const,
      toolCallId,
      name: 'echo',
      content: 'ok',
      isError: false,
    })),
  ];
  toFinish(await collect(make(server.url), toRequest({ messages })));
  const contents = server.requests[0]?.body['contents'];
  assert.ok(Array.isArray(contents));
  assert.deepEqual(
    contents.map(({ role, parts }) => [role, parts.length]),
    [
      ['user', 1],
      ['model', 2],
      ['user', 2],
    ],
  );
});
