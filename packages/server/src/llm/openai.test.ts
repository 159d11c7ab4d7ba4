import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, toError, toFinish, toRequest, toText } from '../../test/llm-events.ts';
import { createWriter } from '../../test/provider-formats.ts';
import { startProviderServer } from '../../test/provider-server.ts';
import { Secret } from '../lib/secret.ts';
import { createProvider } from './ai-sdk.ts';
import type { Provider } from './provider.ts';

function make(baseUrl: string, provider: 'openai' | 'openai-compatible' = 'openai'): Provider {
  return createProvider({ provider, model: 'test-model', baseUrl, apiKey: new Secret('key') });
}

for (const name of ['openai', 'openai-compatible'] as const) {
  test(`${name} request asks for usage figures and names the token limit`, async () => {
    await using server = await startProviderServer();
    toFinish(await collect(make(server.url, name)));
    const [request] = server.requests;
    assert.equal(request?.path, '/v1/chat/completions');
    assert.deepEqual(request?.body['stream_options'], { include_usage: true });
    assert.equal(request?.body['max_tokens'], 256);
  });

  test(`${name} provider reports the error of a Responses stream`, async () => {
    await using server = await startProviderServer();
    const usage = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0 };
    const writer = createWriter('openai-responses', {
      model: 'test-model',
      number: 1,
      usage,
      includeUsage: false,
      onUsage: () => {},
    });
    const raw = writer.begin() + writer.error('insufficient_quota', 'The account is empty');
    server.script({ steps: [{ raw }, { cut: 'end' }] });
    const { error } = toError(await collect(make(server.url, name)));
    assert.match(error.message, /^provider error: (429 )?The account is empty$/);
    assert.equal(error.retryable, false);
  });
}

test('openai provider does not call an empty account retryable', async () => {
  await using server = await startProviderServer();
  const error = { type: 'insufficient_quota', message: 'The account is empty' };
  server.script({ status: 429, error });
  const failure = toError(await collect(make(server.url))).error;
  assert.equal(failure.message, 'provider error: 429 The account is empty');
  assert.equal(failure.retryable, false);
});

test('openai provider takes a stop after tool calls as a wish to call them', async () => {
  await using server = await startProviderServer();
  server.script({ steps: [{ toolCall: { name: 'echo', input: {} } }], stop: 'stop' });
  assert.equal(toFinish(await collect(make(server.url))).stopReason, 'tool-call');
});

test('openai provider explains a content filter that left nothing', async () => {
  await using server = await startProviderServer();
  server.script({ steps: [], stop: 'content-filter' });
  const finish = toFinish(await collect(make(server.url)));
  assert.equal(finish.stopReason, 'refusal');
  assert.match(toText(finish.message), /declined to answer this request \(content_filter\)/);
});

test('openai-compatible provider works without a key and sends none', async () => {
  await using server = await startProviderServer();
  const config = { provider: 'openai-compatible', model: 'm', baseUrl: server.url } as const;
  toFinish(await collect(createProvider({ ...config, apiKey: undefined })));
  assert.equal(server.requests[0]?.headers.authorization, undefined);
});

test('openai-compatible provider reports no usage when the server sends none', async () => {
  await using server = await startProviderServer();
  const chunk = {
    id: 'x',
    choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop' }],
  };
  const raw = `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`;
  server.script({ steps: [{ raw }, { cut: 'end' }] });
  const finish = toFinish(await collect(make(server.url, 'openai-compatible')));
  assert.equal(toText(finish.message), 'Hi');
  assert.equal(finish.usage, undefined);
});

test('openai-compatible provider yields and returns the reasoning of a local server', async () => {
  await using server = await startProviderServer();
  server.script({
    steps: [{ thinking: 'Hm.' }, { toolCall: { id: 'call_a', name: 'echo', input: {} } }],
  });
  const provider = make(server.url, 'openai-compatible');
  const { message } = toFinish(await collect(provider));
  assert.deepEqual(message.content[0], { type: 'thinking', text: 'Hm.' });
  const result = {
    role: 'tool-result',
    toolCallId: 'call_a',
    name: 'echo',
    content: 'ok',
  } as const;
  const messages = [...toRequest().messages, message, { ...result, isError: false }];
  toFinish(await collect(provider, toRequest({ messages })));
  assert.match(server.requests[1]?.bodyText ?? '', /"reasoning_content":"Hm\."/);
});
