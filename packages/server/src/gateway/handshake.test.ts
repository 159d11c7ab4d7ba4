/** Connecting: who may, with which token, from where. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket, type ClientOptions } from 'ws';
import { openTestGateway } from '../../test/gateway-harness.ts';
import { Secret } from '../lib/secret.ts';

const token = new Secret('correct horse');
const FAILED = '{"error":"auth_failed","code":4001}';

/** The HTTP status an upgrade is refused with. */
async function refusedWith(url: string, options: ClientOptions = {}, path = '/ws') {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, options);
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    { statusCode: number },
  ];
  socket.on('error', () => undefined);
  socket.terminate();
  return response.statusCode;
}

test('on loopback without a token hello comes at once', async () => {
  await using test = await openTestGateway();
  const socket = await test.connect();
  assert.partialDeepStrictEqual(await socket.next(), { ok: true, version: '0.1.0', protocol: 1 });
});

test('a token that is sent although none is needed is answered with hello', async () => {
  await using test = await openTestGateway();
  const socket = await test.connect();
  await socket.next();
  socket.send({ token: 'whatever' });
  assert.partialDeepStrictEqual(await socket.next(), { ok: true });
  assert.partialDeepStrictEqual(await socket.call(1, 'ping'), { result: 'pong' });
});

test('the right token is answered with hello, and requests may follow it at once', async () => {
  await using test = await openTestGateway({ token });
  const socket = await test.connect();
  socket.send({ token: 'correct horse' });
  socket.send({ id: 1, method: 'ping' });
  assert.partialDeepStrictEqual(await socket.next(), { ok: true });
  assert.deepEqual(await socket.next(), { id: 1, result: 'pong' });
});

for (const [name, frame] of [
  ['a wrong token', '{"token":"wrong"}'],
  ['an empty token', '{"token":""}'],
  ['an oversized token', JSON.stringify({ token: 'x'.repeat(5000) })],
  ['a token that is no string', '{"token":["correct horse"]}'],
  ['a request instead of a token', '{"id":"1","method":"ping"}'],
  ['a request with the token as a member', '{"token":"correct horse","method":"ping","id":1}'],
  ['no JSON', 'correct horse'],
  ['a binary frame', Buffer.from('{"token":"correct horse"}')],
] as const) {
  test(`${name} gets auth_failed and close code 4001`, async () => {
    await using test = await openTestGateway({ token });
    const socket = await test.connect();
    socket.raw.send(frame);
    assert.equal(await socket.nextText(), FAILED);
    assert.equal((await socket.closed).code, 4001);
    assert.equal(test.dispatcher.sent.length, 0);
  });
}

test('no token in time gets auth_failed and close code 4001', async () => {
  await using test = await openTestGateway({ token });
  const socket = await test.connect();
  await test.clock.sleeping(5000);
  test.clock.advance(4999);
  assert.equal(socket.texts.length, 0);
  test.clock.advance(1);
  assert.equal(await socket.nextText(), FAILED);
  assert.equal((await socket.closed).code, 4001);
});

test('a token in time stops the clock of that connection only', async () => {
  await using test = await openTestGateway({ token });
  const early = await test.connect();
  const silent = await test.connect();
  early.send({ token: 'correct horse' });
  await early.next();
  test.clock.advance(5000);
  assert.equal((await silent.closed).code, 4001);
  assert.deepEqual(await early.call(1, 'ping'), { id: 1, result: 'pong' });
});

test('what follows a wrong token is not looked at', async () => {
  await using test = await openTestGateway({ token });
  const socket = await test.connect();
  socket.send({ token: 'wrong' });
  socket.send({ token: 'correct horse' });
  socket.send({
    id: '1',
    method: 'chat.send',
    params: { channel: 'c', account: 'a', content: 'x' },
  });
  assert.equal((await socket.closed).code, 4001);
  assert.deepEqual(socket.texts, [FAILED]);
  assert.equal(test.dispatcher.sent.length, 0);
});

test('an address that keeps guessing is slowed down, then refused for a while', async () => {
  await using test = await openTestGateway({ token });
  for (let failure = 1; failure <= 10; failure += 1) {
    const socket = await test.connect();
    socket.send({ token: `guess ${failure}` });
    if (failure > 2) {
      const delayMs = Math.min(100 * 2 ** (failure - 3), 3000);
      await test.clock.sleeping(delayMs);
      assert.equal(socket.texts.length, 0, 'the answer is held back');
      test.clock.advance(delayMs);
    }
    assert.equal((await socket.closed).code, 4001);
  }
  assert.equal(await refusedWith(test.url), 429);
  test.clock.advance(60_000);
  const socket = await test.connect();
  socket.send({ token: 'correct horse' });
  assert.partialDeepStrictEqual(await socket.next(), { ok: true });
});

test('a page of another site is refused with 403 before the upgrade', async () => {
  await using test = await openTestGateway();
  assert.equal(await refusedWith(test.url, { origin: 'https://evil.example' }), 403);
  assert.equal(await refusedWith(test.url, { origin: 'http://localhost:1' }), 403);
  assert.equal(await refusedWith(test.url, { origin: 'null' }), 403);
  const own = await test.connect({ origin: test.url });
  assert.partialDeepStrictEqual(await own.next(), { ok: true });
});

test('a page of an allowed origin may connect', async () => {
  await using test = await openTestGateway({ allowedOrigins: ['https://chat.example.org'] });
  const socket = await test.connect({ origin: 'https://chat.example.org' });
  assert.partialDeepStrictEqual(await socket.next(), { ok: true });
  assert.equal(await refusedWith(test.url, { origin: 'https://chat.example.org.evil.com' }), 403);
});

test('a foreign Host is refused on loopback, also when the Origin agrees with it', async () => {
  await using test = await openTestGateway({ allowedHosts: ['proxy.example'] });
  const evil = { headers: { host: 'evil.example:7200' }, origin: 'http://evil.example:7200' };
  assert.equal(await refusedWith(test.url, evil), 403);
  const socket = await test.connect({ headers: { host: 'proxy.example' } });
  assert.partialDeepStrictEqual(await socket.next(), { ok: true });
});

test('an upgrade elsewhere than /ws is refused with 404', async () => {
  await using test = await openTestGateway();
  assert.equal(await refusedWith(test.url, {}, '/'), 404);
  const socket = await test.connect({}, '/ws?from=test');
  assert.partialDeepStrictEqual(await socket.next(), { ok: true });
});

test('connections beyond the limit and while draining are refused with 503', async () => {
  await using test = await openTestGateway({ limits: { maxConnections: 1 } });
  const socket = await test.connect();
  await socket.next();
  assert.equal(await refusedWith(test.url), 503);
  socket.raw.close();
  await socket.closed;
  const next = await test.connect();
  await next.next();
  test.gateway.drain();
  assert.deepEqual(await next.call(1, 'ping'), { id: 1, result: 'pong' });
  next.raw.close();
  await next.closed;
  assert.equal(await refusedWith(test.url), 503);
});

test('a bind that is not loopback does not start without a token', async () => {
  await assert.rejects(openTestGateway({ bind: '0.0.0.0' }), {
    code: 'config_error',
    message:
      'Will not listen on "0.0.0.0" without a token: set EXOCLAW_TOKEN, or bind to 127.0.0.1',
  });
});

test('a port that is in use is named, and how to change it', async () => {
  await using test = await openTestGateway();
  const { port } = test.gateway;
  await assert.rejects(openTestGateway({ port }), (error: Error) => {
    assert.match(error.message, new RegExp(`^Port ${port} is in use`));
    assert.match(error.message, /--port/);
    return true;
  });
});

test('a connection that does not answer pings is ended', async () => {
  await using test = await openTestGateway({ limits: { pingSeconds: 1 } });
  const socket = await test.connect({ autoPong: false });
  await socket.next();
  await test.clock.sleeping(1000);
  const pinged = once(socket.raw, 'ping');
  test.clock.advance(1000);
  await pinged;
  await test.clock.sleeping(1000);
  test.clock.advance(1000);
  assert.equal((await socket.closed).code, 1006);
});

test('a connection that answers pings stays', async () => {
  await using test = await openTestGateway({ limits: { pingSeconds: 1 } });
  const socket = await test.connect();
  await socket.next();
  for (let round = 0; round < 4; round += 1) {
    await test.clock.sleeping(1000);
    const pinged = once(socket.raw, 'ping');
    test.clock.advance(1000);
    await pinged;
    assert.deepEqual(await socket.call(round, 'ping'), { id: round, result: 'pong' });
  }
});

test('closing the gateway tells its clients that it goes away', async () => {
  await using test = await openTestGateway();
  const socket = await test.connect();
  await socket.next();
  await test.gateway[Symbol.asyncDispose]();
  assert.equal((await socket.closed).code, 1001);
});

test('closing the gateway does not wait for clients that do not close', async () => {
  await using test = await openTestGateway();
  const socket = await test.connect();
  await socket.next();
  socket.raw.pause();
  await test.gateway[Symbol.asyncDispose]();
  socket.raw.resume();
  assert.notEqual((await socket.closed).code, 1000);
});
