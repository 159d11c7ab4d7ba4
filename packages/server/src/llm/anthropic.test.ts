import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../test/fake-clock.ts';
import { collect, toError, toFinish, toRequest, toText } from '../../test/llm-events.ts';
import {
  startProviderServer,
  type RecordedRequest,
  type Step,
} from '../../test/provider-server.ts';
import { systemClock, type Clock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { createProvider, type ProviderDeps } from './ai-sdk.ts';
import { createHttpFetch } from './http-fetch.ts';
import type { LlmRequest, Provider } from './provider.ts';
import type { Timeouts } from './target.ts';

const MARK = { type: 'ephemeral' };

function make(
  baseUrl: string,
  { timeouts = {}, ...deps }: ProviderDeps & { timeouts?: Partial<Timeouts> } = {},
): Provider {
  const apiKey = new Secret('key');
  const config = { provider: 'anthropic', model: 'test-model', baseUrl, apiKey, timeouts } as const;
  return createProvider(config, deps);
}

/** Where the request carries cache marks, as paths into its body. */
function findMarks({ body }: RecordedRequest): string[] {
  const paths: string[] = [];
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, child] of Object.entries(value)) {
      if (key === 'cache_control') {
        assert.deepEqual(child, MARK);
        paths.push(path);
      } else visit(child, `${path}/${key}`);
    }
  };
  visit(body, '');
  return paths.toSorted();
}

test('anthropic request marks tools, system and the end of the history for caching', async () => {
  await using server = await startProviderServer();
  const tool = { name: 'echo', description: 'Says it', inputSchema: { type: 'object' } };
  const tools = [tool, { ...tool, name: 'last' }];
  toFinish(await collect(make(server.url), toRequest({ tools })));
  const [request] = server.requests;
  assert.ok(request);
  assert.equal(request.path, '/v1/messages');
  assert.deepEqual(findMarks(request), ['/messages/0/content/0', '/system/0', '/tools/1']);
});

test('anthropic request marks where the call before ended, and never more than four places', async () => {
  await using server = await startProviderServer();
  const step = (id: string): LlmRequest['messages'] => [
    { role: 'assistant', content: [{ type: 'tool-call', id, name: 'echo', input: {} }] },
    { role: 'tool-result', toolCallId: id, name: 'echo', content: 'done', isError: false },
  ];
  const messages: LlmRequest['messages'] = [
    { role: 'user', content: 'Go' },
    ...step('call_1'),
    ...step('call_2'),
  ];
  toFinish(await collect(make(server.url), toRequest({ messages })));
  const [request] = server.requests;
  assert.ok(request);
  assert.deepEqual(findMarks(request), [
    '/messages/2/content/0',
    '/messages/4/content/0',
    '/system/0',
    '/tools/0',
  ]);
});

test('anthropic provider reports the early figures before the first text', async () => {
  await using server = await startProviderServer();
  const usage = { input: 100, output: 9, cacheRead: 60, cacheWrite: 10 };
  server.script({ steps: [{ text: 'Hi' }], usage });
  const events = await collect(make(server.url));
  const [first] = events;
  assert.ok(first?.type === 'usage');
  assert.deepEqual(first.usage, { ...usage, output: 1 });
  assert.deepEqual(toFinish(events).usage, usage);
});

test('anthropic provider keeps the early figures when the answer is cut', async () => {
  await using server = await startProviderServer();
  const usage = { input: 100, output: 9, cacheRead: 60, cacheWrite: 10 };
  server.script({ steps: [{ text: 'Hi' }, { cut: 'end' }], usage });
  const event = toError(await collect(make(server.url)));
  assert.deepEqual(event.usage, { ...usage, output: 1 });
  assert.deepEqual(event.usage, server.totals);
});

test('anthropic provider sends a thinking signature back with its block', async () => {
  await using server = await startProviderServer();
  server.script({ steps: [{ thinking: 'Hm.', signature: 'sig-1' }, { text: 'Yes' }] });
  const provider = make(server.url);
  const events = await collect(provider);
  assert.ok(events.some((event) => event.type === 'thinking-delta' && event.text === 'Hm.'));
  const { message } = toFinish(events);
  const [user] = toRequest().messages;
  assert.ok(user);
  // As it comes out of the store again.
  const stored: LlmRequest['messages'][number] = JSON.parse(JSON.stringify(message));
  const messages: LlmRequest['messages'] = [user, stored, { role: 'user', content: 'More' }];
  toFinish(await collect(provider, toRequest({ messages })));
  assert.match(
    server.requests[1]?.bodyText ?? '',
    /\{"type":"thinking","thinking":"Hm\.","signature":"sig-1"\},\{"type":"text","text":"Yes"/,
  );
});

test('anthropic request leaves out what another provider wanted back', async () => {
  await using server = await startProviderServer();
  const messages: LlmRequest['messages'] = [
    { role: 'user', content: 'Go' },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', text: 'Foreign', metadata: { google: { thoughtSignature: 'x' } } },
        { type: 'text', text: '', metadata: { google: { thoughtSignature: 'y' } } },
        { type: 'tool-call', id: 'functions.echo:0', name: 'echo', input: {} },
      ],
    },
    {
      role: 'tool-result',
      toolCallId: 'functions.echo:0',
      name: 'echo',
      content: 'a',
      isError: false,
    },
  ];
  toFinish(await collect(make(server.url), toRequest({ messages })));
  const sent = server.requests[0]?.bodyText ?? '';
  assert.doesNotMatch(sent, /Foreign|thoughtSignature/);
  assert.equal(sent.match(/"functions_echo_0"/g)?.length, 2);
});

test('anthropic provider keeps the words said before a refusal', async () => {
  await using server = await startProviderServer();
  server.script({ steps: [{ text: 'Well' }], stop: 'refusal', explanation: 'No.' });
  const finish = toFinish(await collect(make(server.url)));
  assert.equal(finish.stopReason, 'refusal');
  assert.equal(toText(finish.message), 'Well');
});

test('anthropic provider keeps unparsable tool arguments as a string', async () => {
  await using server = await startProviderServer();
  server.script({
    steps: [{ toolCall: { name: 'echo', input: '{"text": "cut of' } }],
    stop: 'length',
  });
  const finish = toFinish(await collect(make(server.url)));
  const [call] = finish.message.content;
  assert.ok(call?.type === 'tool-call');
  assert.equal(call.input, '{"text": "cut of');
  assert.equal(finish.stopReason, 'length');
});

test('anthropic provider counts a ping as a sign of life', { timeout: 20_000 }, async () => {
  await using server = await startProviderServer();
  const time = createFakeClock();
  let onNow = (): void => {};
  const clock: Clock = {
    now: () => {
      onNow();
      return time.now();
    },
    sleep: (ms, options) => time.sleep(ms, options),
  };
  const ping = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const steps: Step[] = [
    { text: 'a' },
    { wait: ping.promise },
    { ping: true },
    { wait: goOn.promise },
    { text: 'b' },
  ];
  server.script({ steps });
  const { signal } = new AbortController();
  let said = '';
  const provider = make(server.url, { clock, timeouts: { silenceMs: 5000 } });
  for await (const event of provider.stream(toRequest(), { signal })) {
    if (event.type === 'finish') said += '.';
    if (event.type !== 'text-delta') continue;
    said += event.text;
    if (event.text !== 'a') continue;
    // The next look at the clock is that of the ping.
    onNow = () => {
      onNow = () => {};
      queueMicrotask(() => {
        time.advance(4000);
        goOn.resolve();
      });
    };
    time.advance(4000);
    ping.resolve();
  }
  assert.equal(said, 'ab.');
});

test('anthropic provider does not abort a request that has answered', async () => {
  await using server = await startProviderServer();
  const fetch = createHttpFetch({ clock: systemClock, connectMs: 1000 });
  let signal: AbortSignal | null | undefined;
  const spy: typeof fetch = (input, init) => {
    signal = init?.signal;
    return fetch(input, init);
  };
  toFinish(await collect(make(server.url, { fetch: spy })));
  // Aborting would break the connection, which can serve the next call.
  assert.equal(signal?.aborted, false);
});
