/** What an impatient, greedy or slow client meets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestGateway, type TestGateway, type TestSocket } from '../../test/gateway-harness.ts';

const SEND = { channel: 'web', account: 'me', content: 'hello' };

async function connect(gateway: TestGateway): Promise<TestSocket> {
  const socket = await gateway.connect();
  await socket.next();
  return socket;
}

test('the 65th request in flight is refused, and there is room again when one ends', async () => {
  await using gateway = await openTestGateway();
  const [socket, other] = [await connect(gateway), await connect(gateway)];
  for (let id = 1; id <= 64; id += 1) {
    socket.send({ id, method: 'chat.send', params: { ...SEND, peer: `p${id}` } });
  }
  const run = await gateway.dispatcher.run(63);
  const refused = await socket.call('65', 'ping');
  assert.equal(refused['code'], 'rate_limited');
  assert.match(String(refused['error']), /^64 requests of this connection are open/);
  assert.deepEqual(await other.call(1, 'ping'), { id: 1, result: 'pong' });
  run.start().end();
  await socket.stream(64);
  assert.deepEqual(await socket.call('66', 'ping'), { id: '66', result: 'pong' });
});

test('a batch counts as the requests it holds', async () => {
  await using gateway = await openTestGateway({ limits: { inFlight: 3 } });
  const socket = await connect(gateway);
  const batch = [1, 2, 3, 4].map((id) => ({
    jsonrpc: '2.0',
    id,
    method: 'chat.send',
    params: { ...SEND, peer: `p${id}` },
  }));
  gateway.dispatcher.script = (run) => run.start().end();
  socket.send(batch);
  const answers = await socket.until((frame) => Array.isArray(frame));
  assert.deepEqual(
    (answers as unknown as { id: number; error?: unknown }[]).map(({ id, error }) => [
      id,
      error === undefined,
    ]),
    [
      [1, true],
      [2, true],
      [3, true],
      [4, false],
    ],
  );
});

test('requests over the rate of a connection are refused until time has passed', async () => {
  await using gateway = await openTestGateway({ limits: { requestsPerMinute: 3 } });
  const [socket, other] = [await connect(gateway), await connect(gateway)];
  for (const id of [1, 2, 3]) assert.equal((await socket.call(id, 'ping'))['result'], 'pong');
  assert.equal((await socket.call(4, 'ping'))['code'], 'rate_limited');
  assert.equal((await other.call(1, 'ping'))['result'], 'pong');
  gateway.clock.advance(20_000);
  assert.equal((await socket.call(5, 'ping'))['result'], 'pong');
  assert.equal((await socket.call(6, 'ping'))['code'], 'rate_limited');
});

test('messages over the rate of a session are refused, whichever connection sends them', async () => {
  await using gateway = await openTestGateway({ limits: { messagesPerMinute: 2 } });
  const [first, second] = [await connect(gateway), await connect(gateway)];
  gateway.dispatcher.script = (run) => run.start().end();
  for (const socket of [first, second]) {
    socket.send({ id: 1, method: 'chat.send', params: SEND });
    await socket.stream(1);
  }
  assert.equal((await first.call(2, 'chat.send', SEND))['code'], 'rate_limited');
  first.send({ id: 3, method: 'chat.send', params: { ...SEND, peer: 'another' } });
  assert.equal((await first.stream(3)).at(-1)?.['event'], 'done');
  assert.equal(gateway.dispatcher.sent.length, 3);
});

test('a client that does not read is closed with 1013, and its run goes on', async () => {
  await using gateway = await openTestGateway({ limits: { outboundBytes: 64 * 1024 } });
  const [slow, other] = [await connect(gateway), await connect(gateway)];
  slow.send({ id: 1, method: 'chat.send', params: SEND });
  const run = (await gateway.dispatcher.run()).start();
  slow.raw.pause();
  // Kernel buffers take some megabytes before anything waits in the process.
  const chunk = 'x'.repeat(256 * 1024);
  for (let sent = 0; sent < 160; sent += 1) {
    run.say(chunk);
    await other.call(sent, 'ping');
  }
  assert.equal(run.log.ended, false);
  run.end();
  slow.raw.resume();
  assert.deepEqual(await slow.closed, { code: 1013, reason: 'slow consumer' });
});

test('a resumed stream larger than the outbound buffer waits for its client', async () => {
  await using gateway = await openTestGateway({ limits: { outboundBytes: 64 * 1024 } });
  const [sender, socket] = [await connect(gateway), await connect(gateway)];
  gateway.dispatcher.script = (run) => {
    run.start();
    for (let count = 0; count < 100; count += 1) run.say('x'.repeat(256 * 1024));
    run.end();
  };
  sender.send({ jsonrpc: '2.0', method: 'chat.send', params: SEND });
  const run = await gateway.dispatcher.run();
  const params = { session: run.sessionKey, run: run.runId };
  socket.send({ id: 'r', method: 'chat.resume', params });
  socket.raw.pause();
  await gateway.clock.sleeping(10_000);
  socket.raw.resume();
  const frames = await socket.stream('r');
  assert.equal(frames.length, 102);
  assert.equal(frames.at(-1)?.['event'], 'done');
});

test('a resumed stream whose client takes nothing for 10 s is closed with 1013', async () => {
  await using gateway = await openTestGateway({ limits: { outboundBytes: 64 * 1024 } });
  const [sender, socket] = [await connect(gateway), await connect(gateway)];
  gateway.dispatcher.script = (run) => {
    run.start();
    for (let count = 0; count < 100; count += 1) run.say('x'.repeat(256 * 1024));
  };
  sender.send({ jsonrpc: '2.0', method: 'chat.send', params: SEND });
  const { sessionKey } = await gateway.dispatcher.run();
  socket.send({ id: 'r', method: 'chat.resume', params: { session: sessionKey } });
  socket.raw.pause();
  let isClosed = false;
  void socket.closed.then(() => (isClosed = true));
  await gateway.clock.sleeping(10_000);
  gateway.clock.advance(10_000);
  // Another wait follows if the first one saw some bytes leave.
  if (gateway.clock.sleepers.includes(10_000)) gateway.clock.advance(10_000);
  assert.equal(isClosed, false, 'the close waits behind what is unread');
  socket.raw.resume();
  assert.equal((await socket.closed).code, 1013);
});

test('one answer larger than the outbound buffer is no sign of a slow client', async () => {
  await using gateway = await openTestGateway({ limits: { outboundBytes: 1000 } });
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => run.start().say('x'.repeat(5_000_000));
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  assert.equal(String((await socket.next())['data']).length, 5_000_000);
  assert.deepEqual(await socket.call(2, 'ping'), { id: 2, result: 'pong' });
});
