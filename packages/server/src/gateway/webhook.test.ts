/** Webhooks: who is let in, what comes back, and what never does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createFakePlugins,
  openTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../../test/gateway-harness.ts';
import { ExoclawError } from '../lib/error.ts';
import type { ChannelAdapter, IncomingMessage } from '../plugins/plugins.ts';
import { createRouter } from '../router/router.ts';

/** A channel whose payload is a message, or a list of them, as JSON. */
function createChannel(overrides: Partial<ChannelAdapter> = {}): ChannelAdapter {
  return {
    pluginName: 'mock-channel',
    channel: 'mock',
    verify: { kind: 'none' },
    allowUnverified: true,
    async parseIncoming(payload) {
      return { kind: 'messages', messages: [JSON.parse(payload) as IncomingMessage].flat() };
    },
    formatOutgoing: async ({ content, to }) => ({ to: to.peer, text: content }),
    ...overrides,
  };
}

async function open(
  channel: Partial<ChannelAdapter> = {},
  options: TestGatewayOptions = {},
): Promise<TestGateway> {
  const plugins = createFakePlugins([createChannel(channel)]);
  const gateway = await openTestGateway({ plugins, ...options });
  gateway.dispatcher.script = (run) => run.start().say(`you said `, run.request.content).end();
  return gateway;
}

async function post(
  gateway: TestGateway,
  body: unknown,
  channel = 'mock',
): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`${gateway.url}/webhook/${channel}`, {
    method: 'POST',
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  return { status: response.status, body: await response.json() };
}

const MESSAGE = { content: 'hi', account: 'bot', peer: 'ann' };

test('a payload reaches an agent and its answer comes back in the shape of the platform', async () => {
  await using gateway = await open();
  assert.deepEqual(await post(gateway, { ...MESSAGE, guild: 'g', messageId: 'm1' }), {
    status: 200,
    body: { to: 'ann', text: 'you said hi' },
  });
  assert.deepEqual(gateway.dispatcher.sent, [
    {
      address: { channel: 'mock', account: 'bot', peer: 'ann', guild: 'g' },
      content: 'hi',
      messageId: 'm1',
    },
  ]);
});

test('the channel is stamped by the host, whatever the plugin says', async () => {
  await using gateway = await open();
  await post(gateway, { ...MESSAGE, channel: 'admin-console', roles: ['owner'] });
  assert.deepEqual(gateway.dispatcher.sent[0]?.address, {
    channel: 'mock',
    account: 'bot',
    peer: 'ann',
  });
});

test('a repeated message id is answered 200 and dropped, also while the first runs', async () => {
  await using gateway = await open();
  gateway.dispatcher.script = (run) => run.start();
  const first = post(gateway, { ...MESSAGE, messageId: 'm1' });
  const run = await gateway.dispatcher.run();
  const duplicate = { status: 200, body: { ok: true, duplicate: true } };
  assert.deepEqual(await post(gateway, { ...MESSAGE, messageId: 'm1' }), duplicate);
  run.say('late').end();
  assert.deepEqual((await first).body, { to: 'ann', text: 'late' });
  assert.deepEqual(await post(gateway, { ...MESSAGE, messageId: 'm1' }), duplicate);
  assert.equal(gateway.dispatcher.sent.length, 1);
  gateway.dispatcher.script = (next) => next.start().say('x').end();
  const other = await post(gateway, { ...MESSAGE, peer: 'bob', messageId: 'm1' });
  assert.deepEqual(other.body, { to: 'bob', text: 'x' });
});

test('a message that was not accepted is taken when the platform tries again', async () => {
  await using gateway = await open();
  const { script } = gateway.dispatcher;
  gateway.dispatcher.script = () => {
    throw new ExoclawError('session_busy', '32 messages are already waiting');
  };
  const refused = await post(gateway, { ...MESSAGE, messageId: 'm1' });
  assert.equal(refused.status, 429);
  gateway.dispatcher.script = script;
  const accepted = await post(gateway, { ...MESSAGE, messageId: 'm1' });
  assert.deepEqual(accepted.body, { to: 'ann', text: 'you said hi' });
});

test('an unverified channel is refused without the explicit opt-in, and the log says so', async () => {
  let parsed = 0;
  await using gateway = await open({
    allowUnverified: false,
    async parseIncoming() {
      parsed += 1;
      return { kind: 'messages', messages: [] };
    },
  });
  const { status, body } = await post(gateway, MESSAGE);
  assert.equal(status, 403);
  assert.deepEqual(body, {
    error: 'This webhook does not accept unverified calls',
    code: 'forbidden',
  });
  assert.equal(parsed, 0, 'the body must not reach the plugin');
  assert.ok(gateway.log.some((line) => line.includes('allow_unverified')));
});

test('an unknown channel is 404, another method 405', async () => {
  await using gateway = await open();
  assert.equal((await post(gateway, MESSAGE, 'nothing')).status, 404);
  assert.equal((await post(gateway, MESSAGE, '__proto__')).status, 404);
  const response = await fetch(`${gateway.url}/webhook/mock`);
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'POST');
});

test('a body over the limit is 413, with and without a declared length', async () => {
  await using gateway = await open({}, { limits: { webhookBytes: 1000 } });
  assert.equal((await post(gateway, 'x'.repeat(1001))).status, 413);
  const response = await fetch(`${gateway.url}/webhook/mock`, {
    method: 'POST',
    body: ReadableStream.from([new Uint8Array(600), new Uint8Array(600)]),
    duplex: 'half',
  });
  assert.equal(response.status, 413);
  assert.equal((await post(gateway, MESSAGE)).status, 200);
});

test('a body that is not UTF-8 is 400', async () => {
  await using gateway = await open();
  assert.equal((await post(gateway, new Uint8Array([0x7b, 0xc3, 0x28]))).status, 400);
});

test('what a plugin says when it fails stays in the log', async () => {
  const fails = async () => {
    throw new ExoclawError('plugin_error', 'guest said: token=hunter2 at /home/ops');
  };
  for (const channel of [{ parseIncoming: fails }, { formatOutgoing: fails }]) {
    await using gateway = await open(channel);
    const { status, body } = await post(gateway, MESSAGE);
    assert.equal(status, 502);
    const { error } = body as { error: string };
    const id = /^The channel plugin failed \(id (err_[0-9a-f]+)\)$/.exec(error)?.[1];
    assert.ok(id !== undefined, error);
    assert.ok(gateway.log.some((line) => line.includes(id) && line.includes('hunter2')));
  }
});

test('a run that fails is answered with the status and text of its error', async () => {
  await using gateway = await open();
  gateway.dispatcher.script = (run) =>
    run.start().fail('budget_exceeded', 'token budget exceeded (session: 9500/10000)');
  assert.deepEqual(await post(gateway, MESSAGE), {
    status: 402,
    body: { error: 'token budget exceeded (session: 9500/10000)', code: 'budget_exceeded' },
  });
});

test('an address without an agent is no_agent', async () => {
  const router = createRouter({ bindings: [], defaultAgentId: undefined });
  await using gateway = await open({}, { router: () => router });
  assert.deepEqual(await post(gateway, MESSAGE), {
    status: 404,
    body: { error: 'no agent configured for mock:bot:ann', code: 'no_agent' },
  });
});

test('an answer that takes too long is 202, and the run goes on', async () => {
  await using gateway = await open({}, { limits: { webhookWaitSeconds: 20 } });
  gateway.dispatcher.script = (run) => run.start();
  const pending = post(gateway, MESSAGE);
  const run = await gateway.dispatcher.run();
  await gateway.clock.sleeping(20_000);
  gateway.clock.advance(20_000);
  assert.deepEqual(await pending, { status: 202, body: { ok: true, pending: true } });
  assert.equal(run.log.ended, false);
});

test('several messages of one payload are answered together, in order', async () => {
  await using gateway = await open();
  const { body } = await post(gateway, [MESSAGE, { ...MESSAGE, peer: 'bob', content: 'yo' }]);
  assert.deepEqual(body, {
    ok: true,
    replies: [
      { to: 'ann', text: 'you said hi' },
      { to: 'bob', text: 'you said yo' },
    ],
  });
  assert.deepEqual((await post(gateway, [])).body, { ok: true });
  assert.equal(
    (
      await post(
        gateway,
        Array.from({ length: 33 }, () => MESSAGE),
      )
    ).status,
    413,
  );
});

test('a handshake is answered as the plugin says, but never as a page or a redirect', async () => {
  for (const [asked, type] of [
    ['application/json', 'application/json'],
    ['text/html', 'text/plain; charset=utf-8'],
    ['text/plain\r\nset-cookie: a=b', 'text/plain; charset=utf-8'],
  ] as const) {
    await using gateway = await open({
      parseIncoming: async () => ({
        kind: 'respond',
        status: 302,
        headers: { 'Content-Type': asked, location: 'https://evil.example', 'set-cookie': 'a=b' },
        body: '{"challenge":"<script>"}',
      }),
    });
    const response = await fetch(`${gateway.url}/webhook/mock`, { method: 'POST', body: 'x' });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), type);
    assert.equal(response.headers.get('location'), null);
    assert.equal(response.headers.get('set-cookie'), null);
    assert.equal(await response.text(), '{"challenge":"<script>"}');
  }
});

test('calls over the rate of a channel, and over those open at once, are refused', async () => {
  await using gateway = await open({}, { limits: { requestsPerMinute: 3, inFlight: 2 } });
  gateway.dispatcher.script = (run) => run.start();
  const waiting = [post(gateway, MESSAGE), post(gateway, { ...MESSAGE, peer: 'bob' })];
  const runs = [await gateway.dispatcher.run(0), await gateway.dispatcher.run(1)];
  assert.equal((await post(gateway, MESSAGE)).status, 429);
  for (const run of runs) run.end();
  for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
  assert.equal((await post(gateway, MESSAGE)).status, 429, 'the minute has had its three calls');
});

test('messages over the rate of a session are refused', async () => {
  await using gateway = await open({}, { limits: { messagesPerMinute: 1 } });
  assert.equal((await post(gateway, MESSAGE)).status, 200);
  assert.equal((await post(gateway, MESSAGE)).status, 429);
  assert.equal((await post(gateway, { ...MESSAGE, peer: 'bob' })).status, 200);
});

test('a webhook is 503 while the gateway drains', async () => {
  await using gateway = await open();
  gateway.gateway.drain();
  assert.equal((await post(gateway, MESSAGE)).status, 503);
});

test('a page of another site cannot post to a webhook', async () => {
  await using gateway = await open();
  const response = await fetch(`${gateway.url}/webhook/mock`, {
    method: 'POST',
    body: JSON.stringify(MESSAGE),
    headers: { origin: 'https://evil.example' },
  });
  assert.equal(response.status, 403);
  assert.equal(gateway.dispatcher.sent.length, 0);
});
