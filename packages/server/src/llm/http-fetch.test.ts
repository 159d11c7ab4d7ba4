import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createFakeClock } from '../../test/fake-clock.ts';
import { systemClock } from '../lib/clock.ts';
import { createHttpFetch } from './http-fetch.ts';

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function serve(handler: http.RequestListener): Promise<AsyncDisposable & { url: string }> {
  const server = http.createServer(handler);
  const port = await listen(server);
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${port}/`, [Symbol.asyncDispose]: close };
}

test('createHttpFetch() posts a body and returns status, headers and text', async () => {
  await using server = await serve((request, response) => {
    response.writeHead(418, 'Teapot', { 'x-a': ['1', '2'] });
    request.pipe(response);
  });
  const fetch = createHttpFetch({ clock: systemClock, connectMs: 1000 });
  const response = await fetch(server.url, { method: 'POST', body: 'größe' });
  assert.equal(response.status, 418);
  assert.equal(response.statusText, 'Teapot');
  assert.equal(response.headers.get('x-a'), '1, 2');
  assert.equal(await response.text(), 'größe');
});

test('createHttpFetch() gives up on a connection that does not stand in time', async () => {
  // Takes the TCP connection and never answers the TLS handshake.
  const server = net.createServer((socket) => socket.on('error', () => {}));
  const port = await listen(server);
  const clock = createFakeClock();
  const fetch = createHttpFetch({ clock, connectMs: 3000 });
  const response = fetch(`https://127.0.0.1:${port}/`, { method: 'POST' });
  const rejected = assert.rejects(response, /no connection within 3 s/);
  await clock.sleeping(3000);
  clock.advance(3000);
  await rejected;
  server.close();
});

test('createHttpFetch() stops its connect timer once connected', async () => {
  await using server = await serve((_request, response) => response.end('ok'));
  const clock = createFakeClock();
  const fetch = createHttpFetch({ clock, connectMs: 3000 });
  const response = await fetch(server.url);
  assert.deepEqual(clock.sleepers, []);
  assert.equal(await response.text(), 'ok');
});

test('createHttpFetch() does not follow a redirect', async () => {
  await using server = await serve((_request, response) => {
    response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
  });
  const fetch = createHttpFetch({ clock: systemClock, connectMs: 1000 });
  const response = await fetch(server.url);
  assert.equal(response.status, 302);
});

test('createHttpFetch() refuses a body above its limit', async () => {
  await using server = await serve((_request, response) => response.end('x'.repeat(5000)));
  const fetch = createHttpFetch({ clock: systemClock, connectMs: 1000, maxBytes: 4999 });
  const response = await fetch(server.url);
  await assert.rejects(response.text(), { code: 'EMSGSIZE' });
});

test('createHttpFetch() does not read faster than its reader', { timeout: 20_000 }, async () => {
  const total = 1024;
  const chunk = Buffer.alloc(64 * 1024);
  let written = 0;
  await using server = await serve((request, response) => {
    if (request.url === '/ping') response.end();
    const write = (): void => {
      while (written < total && !response.writableEnded) {
        written += 1;
        if (!response.write(chunk)) {
          response.once('drain', write);
          return;
        }
      }
    };
    if (request.url === '/') write();
  });
  const fetch = createHttpFetch({ clock: systemClock, connectMs: 1000, maxBytes: 1e9 });
  const response = await fetch(server.url);
  // Until every buffer on the way is full and nothing moves any more, as round trips beside it show.
  let last = -1;
  for (let still = 0; still < 50;) {
    await (await fetch(`${server.url}ping`)).text();
    still = written === last ? still + 1 : 0;
    last = written;
  }
  assert.ok(written < total, 'the server could write everything');
  await response.body?.cancel();
});

test('createHttpFetch() rejects with the reason of an abort', async () => {
  const arrived = Promise.withResolvers<void>();
  await using server = await serve(() => arrived.resolve());
  const fetch = createHttpFetch({ clock: systemClock, connectMs: 1000 });
  const abort = new AbortController();
  const response = fetch(server.url, { signal: abort.signal });
  await arrived.promise;
  abort.abort(new Error('enough'));
  await assert.rejects(response, /enough/);
  await assert.rejects(fetch(server.url, { signal: abort.signal }), /enough/);
});

test('createHttpFetch() drops a cancelled body that does not end', async () => {
  const closed = Promise.withResolvers<void>();
  await using server = await serve((_request, response) => {
    response.write('x');
    response.on('close', closed.resolve);
  });
  const clock = createFakeClock();
  const fetch = createHttpFetch({ clock, connectMs: 3000 });
  const response = await fetch(server.url);
  await response.body?.cancel();
  await clock.sleeping(1000);
  clock.advance(1000);
  await closed.promise;
});
