/** The HTTP routes beside the WebSocket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { openTestGateway, type TestGateway } from '../../test/gateway-harness.ts';
import { Secret } from '../lib/secret.ts';

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

// `fetch` would not let a test set Host and Origin.
async function send(
  gateway: TestGateway,
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  const outgoing = request(`${gateway.url}${path}`, { agent: false, ...options });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

test('/health is exactly status and version, and needs no token', async () => {
  await using gateway = await openTestGateway({ token: new Secret('t') });
  const { status, body, headers } = await send(gateway, '/health');
  assert.equal(status, 200);
  assert.equal(body, '{"status":"ok","version":"0.1.0"}');
  assert.match(headers['content-type'] ?? '', /^application\/json/);
});

test('/ready is 503 until the parts are ready, and while draining', async () => {
  let isReady = false;
  await using gateway = await openTestGateway({ ready: () => isReady });
  assert.equal((await send(gateway, '/ready')).status, 503);
  isReady = true;
  assert.deepEqual((await send(gateway, '/ready')).status, 200);
  gateway.gateway.drain();
  const { status, body } = await send(gateway, '/ready');
  assert.equal(status, 503);
  assert.equal(body, '{"status":"draining"}');
  assert.equal((await send(gateway, '/health')).status, 200);
});

test('/metrics needs the token when there is one, and counts what happened', async () => {
  await using gateway = await openTestGateway({ token: new Secret('t0ken') });
  for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: 'Basic t0ken' }]) {
    const { status, body } = await send(gateway, '/metrics', { headers });
    assert.equal(status, 401);
    assert.doesNotMatch(body, /exoclaw_/);
  }
  const socket = await gateway.connect();
  socket.send({ token: 't0ken' });
  await socket.next();
  await socket.call(1, 'ping');
  await socket.call(2, 'nonsense"}\n');
  const { status, body, headers } = await send(gateway, '/metrics', {
    headers: { authorization: 'Bearer t0ken' },
  });
  assert.equal(status, 200);
  assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
  assert.match(body, /^exoclaw_connections 1$/m);
  assert.match(body, /^exoclaw_requests_total\{method="ping",outcome="ok"\} 1$/m);
  assert.match(body, /^exoclaw_requests_total\{method="unknown",outcome="unknown_method"\} 1$/m);
  for (const line of body.trimEnd().split('\n')) {
    assert.match(line, /^(?:# (?:HELP|TYPE) [a-z_]+ .+|[a-z_]+(?:\{.*\})? \d+(?:\.\d+)?)$/);
  }
});

test('/metrics is open on loopback without a token', async () => {
  await using gateway = await openTestGateway();
  assert.equal((await send(gateway, '/metrics')).status, 200);
});

test('wrong tokens at /metrics and at the socket are counted together', async () => {
  await using gateway = await openTestGateway({ token: new Secret('t0ken') });
  for (let failure = 0; failure < 10; failure += 1) {
    const headers = { authorization: `Bearer guess-${failure}` };
    assert.equal((await send(gateway, '/metrics', { headers })).status, 401);
  }
  const headers = { authorization: 'Bearer t0ken' };
  assert.equal((await send(gateway, '/metrics', { headers })).status, 429);
  assert.equal((await send(gateway, '/health')).status, 200);
});

test('the page has no script, loads nothing, and forbids both', async () => {
  await using gateway = await openTestGateway({ version: '1<script>alert(1)</script>' });
  const { status, headers, body } = await send(gateway, '/');
  assert.equal(status, 200);
  assert.match(headers['content-type'] ?? '', /^text\/html/);
  assert.match(
    String(headers['content-security-policy']),
    /^default-src 'none'; style-src 'sha256-/,
  );
  assert.doesNotMatch(body, /<script|src=|href=|url\(/);
  assert.match(body, /npx exoclaw chat/);
});

test('every answer is locked down against sniffing, framing and caching', async () => {
  await using gateway = await openTestGateway();
  for (const path of ['/', '/health', '/nothing', '/metrics', '/webhook/none']) {
    const { headers } = await send(gateway, path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
    assert.equal(headers['x-frame-options'], 'DENY', path);
    assert.equal(headers['cache-control'], 'no-store', path);
    assert.match(String(headers['content-security-policy']), /default-src 'none'/, path);
    assert.equal(headers['access-control-allow-origin'], undefined, path);
  }
});

test('an unknown path is 404 in JSON, a wrong method 405 with what is allowed', async () => {
  await using gateway = await openTestGateway();
  for (const path of [
    '/nothing',
    '/health/',
    '/%2e%2e/etc/passwd',
    '//',
    '/webhook/',
    '/webhook/a/b',
  ]) {
    const { status, body } = await send(gateway, path);
    assert.equal(status, 404, path);
    assert.deepEqual(JSON.parse(body), { error: 'Not found', code: 'not_found' });
  }
  const { status, headers } = await send(gateway, '/health', { method: 'POST' });
  assert.equal(status, 405);
  assert.equal(headers.allow, 'GET, HEAD');
  assert.equal((await send(gateway, '/health', { method: 'HEAD' })).body, '');
  assert.equal((await send(gateway, '/ws')).status, 426);
});

test('a foreign Host or Origin is refused on every route', async () => {
  await using gateway = await openTestGateway();
  for (const path of ['/', '/health', '/metrics', '/ready', '/webhook/mock']) {
    for (const headers of [{ host: 'evil.example' }, { origin: 'https://evil.example' }]) {
      assert.equal((await send(gateway, path, { headers })).status, 403, path);
    }
  }
});

test('headers over the limit are refused with 431', async () => {
  await using gateway = await openTestGateway({ limits: { headerBytes: 2048 } });
  assert.equal(
    (await send(gateway, '/health', { headers: { 'x-big': 'x'.repeat(1000) } })).status,
    200,
  );
  assert.equal(
    (await send(gateway, '/health', { headers: { 'x-big': 'x'.repeat(3000) } })).status,
    431,
  );
});

test('bytes that are no HTTP are answered with 400 and harm nobody else', async () => {
  await using gateway = await openTestGateway();
  const socket = connect(gateway.gateway.port, '127.0.0.1');
  socket.end('\u0016\u0003\u0001 this is no HTTP\r\n\r\n');
  assert.match(await text(socket), /^HTTP\/1\.1 400 /);
  assert.equal((await send(gateway, '/health')).status, 200);
});

test('/metrics is not there when the operator has turned it off', async () => {
  await using gateway = await openTestGateway({ metrics: false });
  assert.equal((await send(gateway, '/metrics')).status, 404);
});
