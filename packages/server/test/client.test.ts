/** The client package against a real gateway, over a wire that a test can cut. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect, type Client, type ConnectOptions } from '@exoclaw/client';
import type { StreamEvent } from '@exoclaw/protocol';
import { Secret } from '../src/lib/secret.ts';
import { createRouter } from '../src/router/router.ts';
import { openTestGateway, type TestGateway } from './gateway-harness.ts';

const MESSAGE = { channel: 'web', account: 'me', content: 'hello' };
const SESSION = 'main:web:me:main';

/** A wire to a gateway that can be cut, and be led to another gateway. */
interface Wire extends AsyncDisposable {
  readonly url: string;
  target: TestGateway;
  /** Resets every connection; with false, also refuses new ones until told otherwise. */
  cut(isUp?: boolean): void;
}

async function openWire(target: TestGateway): Promise<Wire> {
  const sockets = new Set<Socket>();
  let isUp = true;
  const server = createServer((near) => {
    if (!isUp) {
      near.resetAndDestroy();
      return;
    }
    const far = connectSocket(wire.target.gateway.port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    near.pipe(far);
    far.pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const wire: Wire = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target,
    cut(up = true) {
      isUp = up;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      wire.cut();
      await once(server, 'close');
    },
  };
  return wire;
}

/** Connects without waiting between two tries. */
async function open(url: string, options: Partial<ConnectOptions> = {}): Promise<Client> {
  return connect({ url, reconnect: [1], ...options });
}

/** Reads an iteration by hand: the next event, or undefined at its end. */
function read(events: AsyncIterable<StreamEvent>) {
  const iterator = events[Symbol.asyncIterator]();
  return {
    async next(): Promise<StreamEvent | undefined> {
      const result = await iterator.next();
      return result.done === true ? undefined : result.value;
    },
    async rest(): Promise<readonly StreamEvent[]> {
      return Array.fromAsync({ [Symbol.asyncIterator]: () => iterator });
    },
    leave: async () => iterator.return?.(),
  };
}

function textOf(events: readonly StreamEvent[]): string {
  let text = '';
  for (const event of events) {
    if (event.event === 'restart') text = '';
    if (event.event === 'text') text += event.data;
  }
  return text;
}

test('call() gives the result of a method, and its error with the code', async () => {
  await using gateway = await openTestGateway();
  await using client = await open(gateway.url);
  assert.equal(await client.call('ping', {}), 'pong');
  const { agents } = await client.call('status', {});
  assert.equal(agents[0]?.id, 'main');
  await assert.rejects(client.call('chat.history', { session: '' }), {
    name: 'ExoclawClientError',
    code: 'invalid_params',
  });
});

test('connect() sends the token, and says when it was not accepted', async () => {
  await using gateway = await openTestGateway({ token: new Secret('right') });
  await using client = await open(gateway.url, { token: 'right' });
  assert.deepEqual(client.state, { status: 'connected', version: '0.1.0', demo: false });
  await assert.rejects(open(gateway.url, { token: 'wrong' }), { code: 'auth_failed' });
});

test('connect() says when nothing answers, and when it was told to stop', async () => {
  const gateway = await openTestGateway();
  const { url } = gateway;
  const signal = AbortSignal.abort(new Error('never mind'));
  await assert.rejects(open(url, { signal }), { message: 'never mind' });
  await gateway[Symbol.asyncDispose]();
  await assert.rejects(open(url), { code: 'unreachable' });
});

test('chat() gives the events of the answer up to done', async () => {
  await using gateway = await openTestGateway();
  await using client = await open(gateway.url);
  gateway.dispatcher.script = (run) => run.start().say('Hel', 'lo').end();
  const events = await read(client.chat({ ...MESSAGE, messageId: 'm1' })).rest();
  assert.deepEqual(
    events.map(({ event }) => event),
    ['accepted', 'text', 'text', 'usage', 'done'],
  );
  assert.equal(textOf(events), 'Hello');
  assert.deepEqual(gateway.dispatcher.sent[0], {
    address: { channel: 'web', account: 'me', peer: 'main' },
    content: 'hello',
    messageId: 'm1',
  });
});

test('chat() gives an error event for a run that failed, and throws for a refused message', async () => {
  await using gateway = await openTestGateway();
  await using client = await open(gateway.url);
  gateway.dispatcher.script = (run) => run.start().fail('budget_exceeded', 'no more');
  const events = await read(client.chat(MESSAGE)).rest();
  assert.partialDeepStrictEqual(events.at(-2), { event: 'error', code: 'budget_exceeded' });
  assert.equal(events.at(-1)?.event, 'done');
  const nobody = createRouter({ bindings: [], defaultAgentId: undefined });
  await using empty = await openTestGateway({ router: () => nobody });
  await using other = await open(empty.url);
  await assert.rejects(read(other.chat(MESSAGE)).rest(), {
    code: 'no_agent',
    message: 'no agent configured for web:me:main',
  });
});

test('a connection cut again and again neither loses nor doubles an event', async () => {
  await using gateway = await openTestGateway();
  await using wire = await openWire(gateway);
  await using client = await open(wire.url);
  const reader = read(client.chat(MESSAGE));
  assert.equal((await reader.next())?.event, 'accepted');
  const run = await gateway.dispatcher.run();
  run.start();
  const got: StreamEvent[] = [];
  for (let round = 0; round < 20; round += 1) {
    run.say(`${round}a `, `${round}b `);
    if (round % 3 === 0) wire.cut();
    for (let count = 0; count < 2; count += 1) {
      const event = await reader.next();
      if (event !== undefined) got.push(event);
    }
    if (round % 3 === 1) wire.cut();
  }
  run.end();
  got.push(...(await reader.rest()));
  assert.equal(
    textOf(got),
    Array.from({ length: 20 }, (_, round) => `${round}a ${round}b `).join(''),
  );
  assert.deepEqual(
    got.map(({ seq }) => seq),
    got.map((_, at) => at + 2),
  );
  assert.equal(gateway.dispatcher.runs.length, 1);
});

test('a message that was cut before it was accepted is sent again under its id', async () => {
  await using gateway = await openTestGateway();
  await using wire = await openWire(gateway);
  await using client = await open(wire.url);
  const gate = Promise.withResolvers<void>();
  gateway.dispatcher.gate = gate.promise;
  gateway.dispatcher.script = (run) => run.start().say('once').end();
  const events = read(client.chat(MESSAGE)).rest();
  while (gateway.dispatcher.sent.length < 1) await new Promise(setImmediate);
  wire.cut();
  while (gateway.dispatcher.sent.length < 2) await new Promise(setImmediate);
  gate.resolve();
  assert.equal(textOf(await events), 'once');
  const ids = gateway.dispatcher.sent.map(({ messageId }) => messageId);
  assert.equal(ids[0], ids[1]);
  assert.equal(gateway.dispatcher.runs.length, 1);
});

test('after a restart of the gateway the answer begins again, told by a restart event', async () => {
  await using first = await openTestGateway();
  await using second = await openTestGateway();
  await using wire = await openWire(first);
  await using client = await open(wire.url);
  const reader = read(client.chat({ ...MESSAGE, messageId: 'm1' }));
  await reader.next();
  (await first.dispatcher.run()).start().say('half an ans');
  const got = [await reader.next()];
  // The other gateway has the message, too, as a store would have kept it.
  second.dispatcher.script = (run) => run.start().say('A whole ', 'answer').end();
  wire.target = second;
  await second.dispatcher.send({
    address: { ...MESSAGE, peer: 'main' },
    content: 'hello',
    messageId: 'm1',
  });
  wire.cut();
  got.push(...(await reader.rest()));
  assert.deepEqual(
    got.map((event) => event?.event),
    ['text', 'restart', 'text', 'text', 'usage', 'done'],
  );
  assert.equal(textOf(got.filter((event) => event !== undefined)), 'A whole answer');
});

test('a gateway that no longer knows the run is sent the message again', async () => {
  await using first = await openTestGateway();
  await using second = await openTestGateway();
  await using wire = await openWire(first);
  await using client = await open(wire.url);
  const reader = read(client.chat({ ...MESSAGE, messageId: 'm1' }));
  await reader.next();
  (await first.dispatcher.run()).start().say('half');
  const got = [await reader.next()];
  second.dispatcher.script = (run) => run.start().say('whole').end();
  wire.target = second;
  wire.cut();
  got.push(...(await reader.rest()));
  assert.equal(textOf(got.filter((event) => event !== undefined)), 'whole');
  assert.equal(second.dispatcher.sent[0]?.messageId, 'm1');
});

test('leaving the loop stops the run', async () => {
  await using gateway = await openTestGateway();
  await using client = await open(gateway.url);
  gateway.dispatcher.script = (run) => run.start().say('a', 'b');
  for await (const event of client.chat(MESSAGE)) {
    if (event.event === 'text') break;
  }
  await client.call('ping', {});
  assert.equal(gateway.dispatcher.active, 0);
});

test('the signal stops the run and ends the loop with its reason', async () => {
  await using gateway = await openTestGateway();
  await using client = await open(gateway.url);
  const stop = new AbortController();
  const events = read(client.chat(MESSAGE, { signal: stop.signal })).rest();
  await gateway.dispatcher.run();
  stop.abort(new Error('enough'));
  await assert.rejects(events, { message: 'enough' });
  await client.call('ping', {});
  assert.equal(gateway.dispatcher.active, 0);
});

test('leaving the loop after a reconnect stops that run and no other', async () => {
  await using gateway = await openTestGateway();
  await using wire = await openWire(gateway);
  await using client = await open(wire.url);
  const reader = read(client.chat(MESSAGE));
  await reader.next();
  const run = await gateway.dispatcher.run();
  run.start().say('a');
  await reader.next();
  wire.cut();
  run.say('b');
  await reader.next();
  const other = await gateway.dispatcher.send({
    address: { channel: 'web', account: 'me', peer: 'main' },
    content: 'other',
  });
  await reader.leave();
  await client.call('ping', {});
  assert.equal(run.log.ended, true);
  assert.equal(gateway.dispatcher.active, 1);
  assert.notEqual(other.runId, run.runId);
});

test('call() that is cut says so instead of being repeated', async () => {
  const asked = Promise.withResolvers<void>();
  await using gateway = await openTestGateway({
    meter: {
      async budgetStatus() {
        asked.resolve();
        return new Promise(() => undefined);
      },
    },
  });
  await using wire = await openWire(gateway);
  await using client = await open(wire.url);
  const answer = client.call('budget.status', {});
  await asked.promise;
  wire.cut();
  await assert.rejects(answer, { code: 'connection_lost' });
  assert.equal(await client.call('ping', {}), 'pong');
});

test('states() tells of a lost connection and of the next one', async () => {
  await using gateway = await openTestGateway();
  await using wire = await openWire(gateway);
  const client = await open(wire.url, { reconnect: [1, 3_600_000] });
  const states: string[] = [];
  wire.cut(false);
  for await (const state of client.states()) {
    states.push(state.status);
    if (state.status === 'reconnecting' && state.attempt === 2) {
      assert.ok(state.delayMs >= 3_600_000);
      wire.cut(true);
      client.retryNow();
    }
    if (state.status === 'connected' && states.length > 1) client.close();
  }
  assert.deepEqual(states, ['connected', 'reconnecting', 'reconnecting', 'connected', 'closed']);
  await assert.rejects(client.call('ping', {}), { code: 'closed' });
});

test('without reconnect a lost connection closes the client', async () => {
  await using gateway = await openTestGateway();
  await using wire = await openWire(gateway);
  await using client = await open(wire.url, { reconnect: false });
  const reader = read(client.chat(MESSAGE));
  await reader.next();
  wire.cut();
  await assert.rejects(reader.rest(), { code: 'connection_lost' });
  assert.equal(client.state.status, 'closed');
});

test('a token that is no longer accepted ends the client instead of being tried for ever', async () => {
  await using gateway = await openTestGateway({ token: new Secret('old') });
  await using other = await openTestGateway({ token: new Secret('new') });
  await using wire = await openWire(gateway);
  await using client = await open(wire.url, { token: 'old' });
  wire.target = other;
  wire.cut();
  await assert.rejects(Array.fromAsync(client.watch(SESSION)), { code: 'auth_failed' });
});

test('close() ends an open chat and leaves its run alone', async () => {
  await using gateway = await openTestGateway();
  const client = await open(gateway.url);
  const reader = read(client.chat(MESSAGE));
  await reader.next();
  await client[Symbol.asyncDispose]();
  await assert.rejects(reader.rest(), { code: 'closed' });
  assert.equal(gateway.dispatcher.active, 1);
});

test('watch() follows the runs of a session, each event once, over a cut', async () => {
  await using gateway = await openTestGateway();
  await using wire = await openWire(gateway);
  await using client = await open(wire.url);
  const reader = read(client.watch(SESSION));
  const address = { channel: 'web', account: 'me', peer: 'main' };
  const firstEvent = reader.next();
  await client.call('ping', {});
  await gateway.dispatcher.send({ address, content: 'one' });
  const run = await gateway.dispatcher.run();
  run.start().say('a');
  const got = [await firstEvent, await reader.next()];
  wire.cut();
  run.say('b');
  got.push(await reader.next());
  run.end();
  got.push(await reader.next(), await reader.next());
  assert.deepEqual(
    got.map((event) => event?.event),
    ['message', 'text', 'text', 'usage', 'end'],
  );
  await reader.leave();
  assert.equal(await client.call('ping', {}), 'pong');
});

test('watch() tells a run again from its start when the gateway was restarted', async () => {
  await using first = await openTestGateway();
  await using second = await openTestGateway();
  await using wire = await openWire(first);
  await using client = await open(wire.url);
  const address = { channel: 'web', account: 'me', peer: 'main' };
  const reader = read(client.watch(SESSION));
  const firstEvent = reader.next();
  await client.call('ping', {});
  await first.dispatcher.send({ address, content: 'one', messageId: 'm1' });
  (await first.dispatcher.run()).start().say('half', ' an');
  const got = [await firstEvent, await reader.next(), await reader.next()];
  second.dispatcher.script = (run) => run.start(2).say('whole');
  await second.dispatcher.send({ address, content: 'one', messageId: 'm1' });
  wire.target = second;
  wire.cut();
  while (got.at(-1)?.event !== 'text' || got.length < 5) got.push(await reader.next());
  assert.equal(textOf(got.filter((event) => event !== undefined)), 'whole');
  assert.equal(got.filter((event) => event?.event === 'message').length, 1);
  await reader.leave();
});

test('a reader that is far behind gets every event all the same', async () => {
  await using gateway = await openTestGateway();
  await using client = await open(gateway.url);
  const reader = read(client.chat(MESSAGE));
  await reader.next();
  const run = await gateway.dispatcher.run();
  run.start();
  const first = reader.next();
  run.say('0');
  await first;
  const words = Array.from({ length: 25_000 }, (_, at) => `${at} `);
  run.say(...words).end();
  // Everything has come and more than the queue holds was dropped before the reader goes on.
  await client.call('ping', {});
  const rest = await reader.rest();
  assert.equal(textOf(rest), words.join(''));
});
