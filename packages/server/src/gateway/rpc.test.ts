/** Requests and answers in both dialects. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { JSONRPCClient, type JSONRPCResponse } from 'json-rpc-2.0';
import { openTestGateway, type TestGateway, type TestSocket } from '../../test/gateway-harness.ts';

async function connect(gateway: TestGateway): Promise<TestSocket> {
  const socket = await gateway.connect();
  await socket.next();
  return socket;
}

const SEND = { channel: 'web', account: 'me', content: 'hello' };

test('an id is echoed unchanged, as the type it had', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  for (const id of ['"1"', '1', '""', '0', '-7', '1.5', '"\\u00e9 \\" \\\\"', '9007199254740991']) {
    socket.send(`{"id":${id},"method":"ping","params":{}}`);
    const expected = id.replace('\\u00e9', 'é');
    assert.equal(await socket.nextText(), `{"id":${expected},"result":"pong"}`);
    socket.send(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
    assert.equal(await socket.nextText(), `{"jsonrpc":"2.0","id":${expected},"result":"pong"}`);
  }
});

test('a frame that is not JSON is answered with parse_error and the id "0"', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  for (const text of ['{', 'hello', '', '{"id":"1",}', '\u0000']) {
    socket.send(text);
    const frame = await socket.next();
    assert.deepEqual(Object.keys(frame), ['id', 'error', 'code']);
    assert.equal(frame['id'], '0');
    assert.equal(frame['code'], 'parse_error');
    assert.match(String(frame['error']), /^parse error: ./);
  }
  assert.deepEqual(await socket.call('1', 'ping'), { id: '1', result: 'pong' });
});

test('malformed JSON-RPC is answered as that specification says', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  for (const [sent, code, id] of [
    ['{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700, null],
    ['{"jsonrpc":"2.0","method":1,"params":"bar"}', -32600, null],
    ['{"jsonrpc":"1.0","id":4,"method":"ping"}', -32600, 4],
    ['{"jsonrpc":"2.0","id":"1","method":"foobar"}', -32601, '1'],
    ['{"jsonrpc":"2.0","id":"2","method":"ping","params":[1]}', -32602, '2'],
    ['[]', -32600, null],
  ] as const) {
    socket.send(sent);
    const frame = await socket.next();
    assert.partialDeepStrictEqual(frame, { jsonrpc: '2.0', id, error: { code } }, sent);
  }
});

test('a JSON-RPC batch is answered with one array, without its notifications', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send([
    { jsonrpc: '2.0', id: 'a', method: 'ping' },
    { jsonrpc: '2.0', method: 'ping' },
    1,
    { foo: 'boo' },
    { jsonrpc: '2.0', id: 'b', method: 'none' },
  ]);
  const answers = JSON.parse(await socket.nextText()) as readonly Record<string, unknown>[];
  assert.deepEqual(
    answers.map(({ id, result, error }) => [id, result ?? (error as { code: number }).code]),
    [
      ['a', 'pong'],
      [null, -32600],
      [null, -32600],
      ['b', -32601],
    ],
  );
  socket.send([{ jsonrpc: '2.0', method: 'ping' }]);
  assert.deepEqual(await socket.call(1, 'ping'), { id: 1, result: 'pong' });
});

test('a notification is not answered, not even with an error', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ jsonrpc: '2.0', method: 'ping' });
  socket.send({ jsonrpc: '2.0', method: 'nothing' });
  socket.send({ jsonrpc: '2.0', method: 'status', params: { wrong: 1 } });
  assert.deepEqual(await socket.call(1, 'ping'), { id: 1, result: 'pong' });
});

test('an unknown method names the known ones', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  for (const method of ['nothing', 'toString', '__proto__', 'rpc.discover']) {
    const frame = await socket.call('1', method);
    assert.equal(frame['code'], 'unknown_method');
    assert.match(String(frame['error']), /chat\.send/);
  }
});

test('invalid params name the path and what is allowed there', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  for (const [params, message] of [
    [{ channel: 5, account: 'a', content: 'x' }, /"channel": expected string, received number/],
    [{ account: 'a', content: 'x' }, /"channel": expected string, received undefined/],
    [{ ...SEND, speed: 1 }, /"speed" is not known; chat\.send takes channel, account, peer/],
    [{ ...SEND, roles: ['a', 1] }, /"roles\.1": expected string/],
    [[SEND], /give parameters by name, as an object/],
    ['hello', /give parameters by name/],
  ] as const) {
    const frame = await socket.call('1', 'chat.send', params);
    assert.equal(frame['code'], 'invalid_params');
    assert.match(String(frame['error']), message);
  }
  assert.equal(gateway.dispatcher.sent.length, 0);
});

test('a member named __proto__ is no way to smuggle parameters in', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send(
    '{"id":1,"method":"chat.send","params":{"__proto__":{"channel":"c","account":"a","content":"x"}}}',
  );
  assert.equal((await socket.next())['code'], 'invalid_params');
});

test('requests interleave, and each keeps the order of its own frames', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  for (const peer of ['a', 'b']) {
    socket.send({ id: peer, method: 'chat.send', params: { ...SEND, peer } });
  }
  const [a, b] = [await gateway.dispatcher.run(0), await gateway.dispatcher.run(1)];
  const seen: unknown[] = [];
  for (const [run, text] of [
    [b.start(), 'b1'],
    [a.start(), 'a1'],
    [b, 'b2'],
    [a, 'a2'],
  ] as const) {
    run.say(text);
    const frame = await socket.next();
    seen.push([frame['id'], frame['data']]);
  }
  assert.deepEqual(await socket.call('p', 'ping'), { id: 'p', result: 'pong' });
  assert.deepEqual(seen, [
    ['b', 'b1'],
    ['a', 'a1'],
    ['b', 'b2'],
    ['a', 'a2'],
  ]);
});

test('a fault nobody expected shows an id and nothing else; the log has the rest', async () => {
  await using gateway = await openTestGateway({
    meter: {
      budgetStatus: async () => {
        throw new Error('secret at /home/ops/.exoclaw');
      },
    },
  });
  const socket = await connect(gateway);
  const frame = await socket.call('1', 'budget.status');
  assert.equal(frame['code'], 'internal');
  const id = /^internal error \(id (err_[0-9a-f]+)\)$/.exec(String(frame['error']))?.[1];
  assert.ok(id !== undefined, String(frame['error']));
  const line = gateway.log.find((entry) => entry.includes(id));
  assert.match(line ?? '', /secret at \/home\/ops/);
});

test('a strict JSON-RPC 2.0 client from elsewhere works unchanged', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  const client = new JSONRPCClient((request) => socket.send(request));
  const events: unknown[] = [];
  socket.raw.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Record<string, unknown>;
    if ('method' in frame) events.push(frame);
    else client.receive(frame as unknown as JSONRPCResponse);
  });
  assert.equal(await client.request('ping', {}), 'pong');
  assert.equal(await client.request('ping', []), 'pong');
  gateway.dispatcher.script = (run) => run.start().say('Hel', 'lo').end();
  assert.deepEqual(await client.request('chat.send', SEND), { run: 'run_0', stop_reason: 'stop' });
  assert.deepEqual(
    events.map((event) => (event as { params: { event: string } }).params.event),
    ['text', 'text', 'usage', 'done'],
  );
  assert.partialDeepStrictEqual(events[0], {
    jsonrpc: '2.0',
    method: 'chat.event',
    params: { id: 3, event: 'text', data: 'Hel', seq: 2 },
  });
  await assert.rejects(async () => client.request('nothing', {}), { code: -32601 });
  gateway.dispatcher.script = (run) => run.start().fail('budget_exceeded', 'no more');
  await assert.rejects(async () => client.request('chat.send', SEND), {
    code: -32012,
    message: 'no more',
  });
});

test('a binary frame is answered with an error and closes with 1003', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.raw.send(Buffer.from('{"id":1,"method":"ping"}'));
  assert.deepEqual(await socket.next(), {
    id: '0',
    error: 'Binary frames are not supported; send text',
    code: 'invalid_request',
  });
  assert.equal((await socket.closed).code, 1003);
});

test('a frame over the limit closes with 1009, one at the limit does not', async () => {
  await using gateway = await openTestGateway({ limits: { frameBytes: 1000 } });
  const socket = await connect(gateway);
  socket.send('x'.repeat(1000));
  assert.equal((await socket.next())['code'], 'parse_error');
  socket.send('x'.repeat(1001));
  assert.equal((await socket.closed).code, 1009);
});

test('text that is not UTF-8 closes with 1007 and nothing is run', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.raw.send(Buffer.from([0xc3, 0x28]), { binary: false });
  assert.equal((await socket.closed).code, 1007);
});

test('deeply nested JSON is answered, not run into the ground', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  const deep = '['.repeat(200_000) + ']'.repeat(200_000);
  socket.send(`{"id":1,"method":"plugin.call","params":{"name":"echo","input":${deep}}}`);
  assert.equal((await socket.next())['id'], 1);
  assert.deepEqual(await socket.call(2, 'ping'), { id: 2, result: 'pong' });
});

test('a client that resets its connection harms nobody else', async () => {
  await using gateway = await openTestGateway();
  const [first, second] = [await connect(gateway), await connect(gateway)];
  first.send({ id: 1, method: 'chat.send', params: SEND });
  await gateway.dispatcher.run(0);
  first.raw.terminate();
  await once(first.raw, 'close');
  assert.deepEqual(await second.call(1, 'ping'), { id: 1, result: 'pong' });
});
