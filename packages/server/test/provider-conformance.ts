/**
 * What every provider over HTTP has to do, run against the local provider server. A provider's
 * test file calls `testProvider` with a way to make one that talks to the server.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../src/lib/secret.ts';
import type { LlmEvent, LlmRequest, Provider, ProviderName } from '../src/llm/provider.ts';
import type { Timeouts } from '../src/llm/target.ts';
import type { Clock } from '../src/lib/clock.ts';
import { createFakeClock } from './fake-clock.ts';
import { collect, toError, toFinish, toRequest, toText } from './llm-events.ts';
import { startProviderServer } from './provider-server.ts';

const TEST_KEY = 'test-key-4711';

interface MakeOptions {
  readonly baseUrl: string;
  readonly apiKey: Secret | undefined;
  readonly clock?: Clock;
  readonly timeouts?: Partial<Timeouts>;
}

export interface ProviderTraits {
  readonly name: ProviderName;
  /** Whether the format can say how much was written to the prompt cache. */
  readonly cacheWrite: boolean;
  readonly make: (options: MakeOptions) => Provider;
}

export function testProvider({ name, cacheWrite, make }: ProviderTraits): void {
  const apiKey = new Secret(TEST_KEY);
  const title = (behaviour: string): string => `${name} provider ${behaviour}`;

  test(title('yields text in order and the figures of the wire'), async () => {
    await using server = await startProviderServer();
    const usage = { input: 120, output: 7, cacheRead: 40, cacheWrite: cacheWrite ? 30 : 0 };
    server.script({
      steps: [{ text: 'One' }, { text: ', two' }, { ping: true }, { text: ', three' }],
      usage,
    });
    const provider = make({ baseUrl: server.url, apiKey });
    const events = await collect(provider);
    const deltas = events.flatMap((event) => (event.type === 'text-delta' ? [event.text] : []));
    assert.deepEqual(deltas, ['One', ', two', ', three']);
    const finish = toFinish(events);
    assert.equal(finish.stopReason, 'stop');
    assert.equal(toText(finish.message), 'One, two, three');
    assert.deepEqual(finish.usage, usage);
    assert.deepEqual(finish.usage, server.totals);
    assert.deepEqual(finish.model, provider.model);
    const [request] = server.requests;
    assert.equal(request?.headers['x-client-request-id'], 'call_test');
    assert.ok(JSON.stringify(request?.headers).includes(TEST_KEY));
    assert.match(request?.bodyText ?? '', /Answer in one word/);
  });

  test(title('yields several tool calls of one answer, in order'), async () => {
    await using server = await startProviderServer();
    const steps = [
      { text: 'Let me see.' },
      { toolCall: { id: 'call_a', name: 'echo', input: { text: 'a "quoted" word' } } },
      { toolCall: { id: 'call_b', name: 'echo', input: { text: 'ü' } } },
    ];
    server.script({ steps });
    const finish = toFinish(await collect(make({ baseUrl: server.url, apiKey })));
    assert.equal(finish.stopReason, 'tool-call');
    const calls = finish.message.content.filter((block) => block.type === 'tool-call');
    assert.deepEqual(
      calls.map(({ id, name: tool, input }) => ({ id, tool, input })),
      [
        { id: 'call_a', tool: 'echo', input: { text: 'a "quoted" word' } },
        { id: 'call_b', tool: 'echo', input: { text: 'ü' } },
      ],
    );
  });

  test(title('takes a tool call without arguments as an empty object'), async () => {
    await using server = await startProviderServer();
    server.script({ steps: [{ toolCall: { name: 'now' } }] });
    const finish = toFinish(await collect(make({ baseUrl: server.url, apiKey })));
    const [call] = finish.message.content;
    assert.ok(call?.type === 'tool-call');
    assert.equal(call.name, 'now');
    assert.deepEqual(call.input, {});
    assert.notEqual(call.id, '');
  });

  test(title('says that an answer was cut by the token limit'), async () => {
    await using server = await startProviderServer();
    server.script({ steps: [{ text: 'Once upon' }], stop: 'length' });
    const finish = toFinish(await collect(make({ baseUrl: server.url, apiKey })));
    assert.equal(finish.stopReason, 'length');
  });

  test(title('turns a silent refusal into a text that explains it'), async () => {
    await using server = await startProviderServer();
    server.script({ steps: [], stop: 'refusal', explanation: 'Not about that.' });
    const events = await collect(make({ baseUrl: server.url, apiKey }));
    const finish = toFinish(events);
    assert.equal(finish.stopReason, 'refusal');
    assert.equal(toText(finish.message), 'Not about that.');
    assert.ok(events.some(({ type }) => type === 'text-delta'));
  });

  test(title('reports a refused key in one sentence, without the key'), async () => {
    await using server = await startProviderServer();
    const message = `invalid key ${TEST_KEY}\n at https://host.example/keys?secret=1`;
    server.script({ status: 401, error: { type: 'authentication_error', message } });
    const { error } = toError(await collect(make({ baseUrl: server.url, apiKey })));
    assert.equal(
      error.message,
      'provider error: 401 invalid key [secret] at https://host.example/keys',
    );
    assert.equal(error.code, 'provider_error');
    assert.equal(error.status, 401);
    assert.equal(error.retryable, false);
    assert.equal(server.requests.length, 1);
  });

  test(title('asks once on 429 and passes retry-after on'), async () => {
    await using server = await startProviderServer();
    const error = { type: 'rate_limit_error', message: 'Slow down' };
    server.script({ status: 429, error, headers: { 'retry-after': '7' } });
    const failure = toError(await collect(make({ baseUrl: server.url, apiKey }))).error;
    assert.equal(failure.message, 'provider error: 429 Slow down');
    assert.equal(failure.retryable, true);
    assert.equal(failure.retryAfterMs, 7000);
    assert.equal(server.requests.length, 1);
  });

  test(title('survives an error page that is not JSON'), async () => {
    await using server = await startProviderServer();
    server.script({ status: 502, headers: { 'content-type': 'text/html' } });
    const failure = toError(await collect(make({ baseUrl: server.url, apiKey }))).error;
    assert.match(failure.message, /^provider error: 502 /);
    assert.equal(failure.retryable, true);
  });

  test(title('keeps what had arrived when the stream reports an error'), async () => {
    await using server = await startProviderServer();
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    server.script({ steps: [{ text: 'Half an' }, { error }] });
    const event = toError(await collect(make({ baseUrl: server.url, apiKey })));
    assert.match(event.error.message, /^provider error: (\d+ )?Overloaded$/);
    assert.equal(event.error.retryable, true);
    assert.equal(toText(event.message), 'Half an');
    assert.equal(event.message.stopped, 'error');
  });

  test(title('reports an error event before the first token'), async () => {
    await using server = await startProviderServer();
    server.script({ steps: [{ error: { type: 'overloaded_error', message: 'Overloaded' } }] });
    const event = toError(await collect(make({ baseUrl: server.url, apiKey })));
    assert.match(event.error.message, /^provider error: (\d+ )?Overloaded$/);
    assert.deepEqual(event.message.content, []);
  });

  for (const cut of ['end', 'reset'] as const) {
    test(title(`reports a connection that is cut mid-answer (${cut})`), async () => {
      await using server = await startProviderServer();
      const arrived = Promise.withResolvers<void>();
      server.script({ steps: [{ text: 'Half an' }, { wait: arrived.promise }, { cut }] });
      const events: LlmEvent[] = [];
      const { signal } = new AbortController();
      const provider = make({ baseUrl: server.url, apiKey });
      for await (const event of provider.stream(toRequest(), { signal })) {
        events.push(event);
        if (event.type === 'text-delta') arrived.resolve();
      }
      const event = toError(events);
      assert.match(event.error.message, /^provider error: connection closed/);
      assert.equal(event.error.retryable, true);
      assert.equal(toText(event.message), 'Half an');
    });
  }

  test(title('reports a chunk that is not JSON'), async () => {
    await using server = await startProviderServer();
    server.script({ steps: [{ text: 'Half' }, { raw: 'data: {"broken\n\n' }] });
    const event = toError(await collect(make({ baseUrl: server.url, apiKey })));
    assert.equal(event.error.message, 'provider error: malformed answer');
  });

  test(title('reports an answer that is no event stream'), async () => {
    await using server = await startProviderServer();
    server.script({ headers: { 'content-type': 'text/html' }, steps: [{ cut: 'end' }] });
    const event = toError(await collect(make({ baseUrl: server.url, apiKey })));
    assert.match(event.error.message, /^provider error: /);
  });

  test(title('gives up on headers that do not come'), { timeout: 20_000 }, async () => {
    await using server = await startProviderServer();
    const clock = createFakeClock();
    server.script({ before: new Promise(() => {}) });
    const provider = make({ baseUrl: server.url, apiKey, clock, timeouts: { firstTokenMs: 9000 } });
    const events = collect(provider);
    const request = await server.request(1);
    clock.advance(9000);
    const { error } = toError(await events);
    assert.equal(error.code, 'provider_timeout');
    assert.equal(error.message, 'provider error: no answer within 9 s');
    assert.equal(error.retryable, true);
    assert.deepEqual(await request.closed, { complete: false });
  });

  test(title('gives up on a stream that falls silent'), { timeout: 20_000 }, async () => {
    await using server = await startProviderServer();
    const clock = createFakeClock();
    server.script({ steps: [{ text: 'Half an' }, { hang: true }] });
    const timeouts = { firstTokenMs: 60_000, silenceMs: 5000 };
    const provider = make({ baseUrl: server.url, apiKey, clock, timeouts });
    const events: LlmEvent[] = [];
    const { signal } = new AbortController();
    for await (const event of provider.stream(toRequest(), { signal })) {
      events.push(event);
      if (event.type === 'text-delta') clock.advance(5000);
    }
    const event = toError(events);
    assert.equal(event.error.code, 'provider_timeout');
    assert.equal(event.error.message, 'provider error: silent for 5 s');
    assert.equal(toText(event.message), 'Half an');
    assert.deepEqual(await server.requests[0]?.closed, { complete: false });
  });

  test(title('ends with "aborted" when it is cancelled mid-answer'), async () => {
    await using server = await startProviderServer();
    server.script({ steps: [{ text: 'Half an' }, { hang: true }] });
    const abort = new AbortController();
    const events: LlmEvent[] = [];
    const provider = make({ baseUrl: server.url, apiKey });
    for await (const event of provider.stream(toRequest(), { signal: abort.signal })) {
      events.push(event);
      if (event.type === 'text-delta') abort.abort();
    }
    const event = toError(events);
    assert.equal(event.error.code, 'aborted');
    assert.equal(event.message.stopped, 'aborted');
    assert.equal(toText(event.message), 'Half an');
    assert.deepEqual(await server.requests[0]?.closed, { complete: false });
  });

  test(title('ends with "aborted" when it is cancelled before the headers'), async () => {
    await using server = await startProviderServer();
    server.script({ before: new Promise(() => {}) });
    const abort = new AbortController();
    const events = collect(make({ baseUrl: server.url, apiKey }), toRequest(), abort.signal);
    const request = await server.request(1);
    abort.abort(new Error('stop'));
    assert.equal(toError(await events).error.code, 'aborted');
    assert.deepEqual(await request.closed, { complete: false });
  });

  test(
    title('cancels the request when the reader stops reading'),
    { timeout: 20_000 },
    async () => {
      await using server = await startProviderServer();
      server.script({ steps: [{ text: 'Half an' }, { hang: true }] });
      const { signal } = new AbortController();
      for await (const event of make({ baseUrl: server.url, apiKey }).stream(toRequest(), {
        signal,
      })) {
        if (event.type === 'text-delta') break;
      }
      assert.deepEqual(await server.requests[0]?.closed, { complete: false });
    },
  );

  test(title('says "connection refused" when nobody listens'), async () => {
    const server = await startProviderServer();
    await server.close();
    const { error } = toError(await collect(make({ baseUrl: server.url, apiKey })));
    assert.equal(error.message, 'provider error: connection refused');
    assert.equal(error.code, 'provider_error');
    assert.equal(error.retryable, true);
  });

  test(title('sends history back with tool calls, results and their errors'), async () => {
    await using server = await startProviderServer();
    const messages: LlmRequest['messages'] = [
      { role: 'user', content: 'Do both.' },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: '' },
          { type: 'text', text: 'Doing both.' },
          { type: 'tool-call', id: 'call_a', name: 'echo', input: { text: 'a' } },
          { type: 'tool-call', id: 'call_b', name: 'echo', input: '{"text": bro' },
        ],
      },
      {
        role: 'tool-result',
        toolCallId: 'call_a',
        name: 'echo',
        content: 'result-a',
        isError: false,
      },
      {
        role: 'tool-result',
        toolCallId: 'call_b',
        name: 'echo',
        content: 'result-b',
        isError: true,
      },
      { role: 'assistant', content: [] },
      { role: 'user', content: 'And now?' },
    ];
    toFinish(await collect(make({ baseUrl: server.url, apiKey }), toRequest({ messages })));
    const sent = server.requests[0]?.bodyText ?? '';
    const order = ['Do both', 'Doing both', 'call_a', 'call_b', 'result-a', 'result-b', 'And now'];
    const places = order.map((text) => sent.indexOf(text));
    assert.ok(
      places.every((place) => place >= 0),
      `missing in ${sent}`,
    );
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.match(sent, /"is_error":true|"error":"result-b"|Error: result-b/);
    assert.doesNotMatch(sent, /"text":""/);
    // Arguments that are no JSON object would make every later call fail.
    assert.match(sent, /\binvalid\b.*bro/);
  });

  test(title('uses one connection for calls one after the other'), async () => {
    await using server = await startProviderServer();
    const provider = make({ baseUrl: server.url, apiKey });
    for (let call = 0; call < 3; call += 1) toFinish(await collect(provider));
    const ports = new Set(server.requests.map(({ clientPort }) => clientPort));
    assert.equal(ports.size, 1);
  });
}
