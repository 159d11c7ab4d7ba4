/** The core loop over a real socket: client, gateway, agent, provider, sandbox, store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JSONRPCClient } from 'json-rpc-2.0';
import { eventsOf, startDaemon, textOf, toConfig } from './daemon-harness.ts';
import { startProviderServer } from './provider-server.ts';

test('text arrives in order, chunk by chunk, then usage and exactly one done', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script({
    steps: ['Ada ', 'Lovelace ', 'wrote ', 'it.'].map((text) => ({ text })),
    usage: { input: 21, output: 8 },
  });
  const client = await gateway.connect();
  const frames = await client.chat('who wrote it?');
  assert.equal(textOf(frames), 'Ada Lovelace wrote it.');
  assert.deepEqual(eventsOf(frames), ['text', 'text', 'text', 'text', 'usage', 'done']);
  const usage = frames.find((frame) => frame['event'] === 'usage')?.['data'];
  assert.partialDeepStrictEqual(usage, { input_tokens: 21, output_tokens: 8, cost_usd: 0.000183 });
});

test('a tool call goes through the WASM sandbox and its result back to the model', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script(
    {
      steps: [
        { text: 'Let me. ' },
        { toolCall: { id: 'toolu_1', name: 'echo', input: { text: 'hällo' } } },
      ],
    },
    { steps: [{ text: 'It said hällo.' }] },
  );
  const client = await gateway.connect();
  const frames = await client.chat('say it');
  assert.deepEqual(eventsOf(frames), ['text', 'tool_use', 'tool_result', 'text', 'usage', 'done']);
  const result = frames.find((frame) => frame['event'] === 'tool_result')?.['data'];
  assert.partialDeepStrictEqual(result, {
    tool_use_id: 'toolu_1',
    content: 'hällo',
    is_error: false,
  });
  const sent = provider.requests[1]?.bodyText ?? '';
  assert.match(sent, /"tool_result"/);
  assert.match(sent, /hällo/);
});

test('parallel tool calls all run and all come back', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const names = ['one', 'two', 'three'];
  provider.script(
    {
      steps: names.map((text, index) => ({
        toolCall: { id: `t${index}`, name: 'echo', input: { text } },
      })),
    },
    { steps: [{ text: 'done' }] },
  );
  const frames = await (await gateway.connect()).chat('all');
  const results = frames.filter((frame) => frame['event'] === 'tool_result');
  assert.deepEqual(
    results.map((frame) => (frame['data'] as { content: string }).content).toSorted(),
    names.toSorted(),
  );
});

test('a refusal is told as an answer', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script({ stop: 'refusal', explanation: 'This is not allowed.' });
  const frames = await (await gateway.connect()).chat('something forbidden');
  assert.equal(eventsOf(frames).at(-1), 'done');
  assert.notEqual(textOf(frames), '');
});

test('a provider that fails before or in the middle of a stream leaves the session usable', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script(
    { status: 401, error: { type: 'authentication_error', message: 'invalid x-api-key' } },
    {
      steps: [{ text: 'half ' }, { error: { type: 'overloaded_error', message: 'Overloaded' } }],
    },
    { steps: [{ text: 'whole' }] },
  );
  const client = await gateway.connect();
  const before = await client.chat('one');
  assert.deepEqual(eventsOf(before).slice(-2), ['error', 'done']);
  assert.match(
    String(before.find((frame) => frame['event'] === 'error')?.['data']),
    /invalid x-api-key/,
  );
  const middle = await client.chat('two');
  assert.equal(textOf(middle), 'half ');
  assert.deepEqual(eventsOf(middle).slice(-2), ['error', 'done']);
  const after = await client.chat('three');
  assert.equal(textOf(after), 'whole');
});

test('an unreachable provider is a clear error and not a hanging session', async () => {
  await using gateway = await startDaemon(toConfig('http://127.0.0.1:1'));
  const client = await gateway.connect();
  const frames = await client.chat('anyone there?');
  const error = frames.find((frame) => frame['event'] === 'error');
  assert.deepEqual(
    [error?.['code'], error?.['data']],
    ['provider_error', 'provider error: connection refused'],
  );
  assert.deepEqual(await client.call('ping'), { id: 'call-2', result: 'pong' });
});

test('chat.abort stops the answer; what came is kept and the next message is answered', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script(
    { steps: [{ text: 'I will go on' }, { hang: true }] },
    { steps: [{ text: 'yes' }] },
  );
  const client = await gateway.connect();
  const running = client.chat('talk');
  await client.waitFor((frame) => frame['event'] === 'text');
  client.send({ id: 'stop', method: 'chat.abort', params: { id: 'chat-1' } });
  assert.equal(eventsOf(await running).at(-1), 'done');
  assert.deepEqual((await client.waitFor(({ id }) => id === 'stop'))['result'], { aborted: true });
  assert.equal(textOf(await client.chat('still there?')), 'yes');
  const [first] =
    (await gateway.daemon.dispatcher.find('personal:web:me:main')) === undefined ? [true] : [false];
  assert.equal(first, true);
  const history = await client.call('chat.history', { session: 'personal:web:me:main' });
  assert.match(JSON.stringify(history), /"stopped":"aborted"/);
});

test('two clients on one session are answered one after the other, in the order they came', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  const gate = Promise.withResolvers<void>();
  provider.script(
    { steps: [{ text: 'first' }, { wait: gate.promise }] },
    { steps: [{ text: 'second' }] },
  );
  const [a, b] = [await gateway.connect(), await gateway.connect()];
  const first = a.chat('one');
  await a.waitFor((frame) => frame['event'] === 'text');
  const second = b.chat('two');
  assert.deepEqual(await b.call('ping'), { id: 'call-2', result: 'pong' });
  assert.equal(provider.requests.length, 1);
  gate.resolve();
  assert.equal(textOf(await first), 'first');
  assert.equal(textOf(await second), 'second');
  assert.match(provider.requests[1]?.bodyText ?? '', /one.*first.*two/s);
});

test('a repeated message_id is answered with the first answer and no second model call', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script({ steps: [{ text: 'once' }] });
  const client = await gateway.connect();
  const first = await client.chat('hi', { message_id: 'm1' });
  const again = await client.chat('hi', { message_id: 'm1' });
  assert.equal(textOf(first), 'once');
  assert.equal(textOf(again), 'once');
  assert.equal(provider.requests.length, 1);
});

test('a strict JSON-RPC 2.0 client from npm works unmodified', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  provider.script({ steps: [{ text: 'standard' }] });
  const raw = await gateway.connect();
  const client = new JSONRPCClient((request) => raw.send(request));
  raw.socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString('utf8')) as { id?: unknown };
    if (frame.id !== undefined) client.receive(frame as Parameters<typeof client.receive>[0]);
  });
  assert.equal(await client.request('ping', {}), 'pong');
  await assert.rejects(Promise.resolve(client.request('no.such', {})), { code: -32601 });
  const params = { channel: 'web', account: 'rpc', content: 'hi' };
  assert.partialDeepStrictEqual(await client.request('chat.send', params), { stop_reason: 'stop' });
  const events = raw.frames.filter((frame) => frame['method'] === 'chat.event');
  assert.match(JSON.stringify(events), /standard/);
});

test('a first hello with the echo tool costs at most 300 tokens beside the soul', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(toConfig(provider.url));
  await (await gateway.connect()).chat('hello');
  const { system, messages, tools } = provider.requests[0]?.body ?? {};
  const bytes = JSON.stringify({ system, messages, tools }).length;
  assert.ok(bytes / 3 <= 300, `${bytes} bytes`);
});

test('a webhook of the mock channel is answered by an agent in the platform’s shape', async () => {
  await using provider = await startProviderServer();
  await using gateway = await startDaemon(
    toConfig(
      provider.url,
      `[[plugins]]\nname = "mock-channel"\npath = "${(await import('./daemon-harness.ts')).MOCK_CHANNEL}"\nallow_unverified = true\n`,
    ),
  );
  provider.script({ steps: [{ text: 'Hello ' }, { text: 'Bo' }] });
  const post = () =>
    fetch(`${gateway.url}/webhook/mock`, {
      method: 'POST',
      body: JSON.stringify({ text: 'hi', user: 'bo', id: '1' }),
    });
  const response = await post();
  assert.deepEqual([response.status, await response.json()], [200, { text: 'Hello Bo' }]);
  const again = await post();
  assert.equal(again.status, 200);
  assert.equal(provider.requests.length, 1);
});
