/** Streams: what `chat.*` and `session.watch` send, in which order, and how they end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  openTestGateway,
  type Json,
  type TestGateway,
  type TestSocket,
} from '../../test/gateway-harness.ts';
import { ExoclawError } from '../lib/error.ts';
import { createRouter } from '../router/router.ts';

const SEND = { channel: 'web', account: 'me', content: 'hello' };
const SESSION = 'main:web:me:main';

async function connect(gateway: TestGateway): Promise<TestSocket> {
  const socket = await gateway.connect();
  await socket.next();
  return socket;
}

function eventsOf(frames: readonly Json[]): readonly unknown[] {
  return frames.map((frame) => frame['event'] ?? frame['code'] ?? 'result');
}

test('chat.send streams each chunk as it comes, then usage and one done', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ id: '1', method: 'chat.send', params: SEND });
  const run = await gateway.dispatcher.run();
  run.start().say('Hel');
  assert.deepEqual(await socket.next(), { id: '1', event: 'text', data: 'Hel', seq: 2 });
  run.say('lo');
  assert.deepEqual(await socket.next(), { id: '1', event: 'text', data: 'lo', seq: 3 });
  run.end();
  assert.deepEqual(await socket.next(), {
    id: '1',
    event: 'usage',
    data: {
      input_tokens: 21,
      output_tokens: 8,
      cached_tokens: 5,
      cost_usd: 0.000183,
      duration_ms: 12,
      estimated: false,
      context: { soul: 1, facts: 2, recall: 3, window: 4, tools: 5 },
    },
    seq: 4,
  });
  assert.deepEqual(await socket.next(), { id: '1', event: 'done', seq: 5 });
  // Nothing of this request comes after its done.
  assert.deepEqual(await socket.call('1', 'ping'), { id: '1', result: 'pong' });
});

test('chat.send shows tool calls, their walls, and the grant that was missing', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) =>
    run
      .start()
      .add(
        { type: 'tool-call', id: 't1', name: 'echo', input: { text: 'x' } },
        {
          type: 'tool-result',
          id: 't1',
          name: 'echo',
          content: 'no',
          isError: true,
          durationMs: 3,
          walls: ['wasm'],
          deniedGrant: 'http:GET a.example/*',
        },
      )
      .end();
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const [use, result] = await socket.stream(1);
  assert.deepEqual(use?.['data'], { id: 't1', name: 'echo', input: { text: 'x' } });
  assert.deepEqual(result?.['data'], {
    tool_use_id: 't1',
    content: 'no',
    is_error: true,
    duration_ms: 3,
    walls: ['wasm'],
    denied: { grant: 'http:GET a.example/*' },
  });
});

test('the address reaches the router as it was sent, peer "main" by default', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  const address = { channel: 'discord', account: 'bot', guild: 'g', team: 't', roles: ['r'] };
  socket.send({
    id: 1,
    method: 'chat.send',
    params: { ...address, content: 'x', message_id: 'm' },
  });
  await gateway.dispatcher.run();
  assert.deepEqual(gateway.dispatcher.sent, [
    { address: { ...address, peer: 'main' }, content: 'x', messageId: 'm' },
  ]);
});

test('a run that fails ends its stream with error and then one done', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) =>
    run.start().say('a').fail('provider_error', 'provider error: connection refused');
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const frames = await socket.stream(1);
  assert.deepEqual(eventsOf(frames), ['text', 'error', 'done']);
  assert.partialDeepStrictEqual(frames[1], {
    data: 'provider error: connection refused',
    code: 'provider_error',
  });
});

test('a message that is refused before it starts is a failure without events', async () => {
  await using gateway = await openTestGateway({
    router: () => createRouter({ bindings: [], defaultAgentId: undefined }),
  });
  const socket = await connect(gateway);
  assert.deepEqual(await socket.call('7', 'chat.send', SEND), {
    id: '7',
    error: 'no agent configured for web:me:main',
    code: 'no_agent',
  });
  assert.deepEqual(await socket.call('7', 'ping'), { id: '7', result: 'pong' });
});

test('a full session is refused with session_busy', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = () => {
    throw new ExoclawError('session_busy', '32 messages are already waiting in this session');
  };
  const frame = await socket.call(1, 'chat.send', SEND);
  assert.equal(frame['code'], 'session_busy');
});

test('an iteration that breaks in the middle still ends with error and one done', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => {
    run.events = async function* broken() {
      yield { seq: 1, event: { type: 'text-delta', text: 'a' } };
      throw new Error('disk on fire');
    };
  };
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const frames = await socket.stream(1);
  assert.deepEqual(eventsOf(frames), ['text', 'error', 'done']);
  assert.match(String(frames[1]?.['data']), /^internal error \(id err_/);
});

test('ack adds an accepted event in front; without it there is none', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => run.start().say('a').end();
  socket.send({ id: 1, method: 'chat.send', params: { ...SEND, ack: true, message_id: 'm1' } });
  const frames = await socket.stream(1);
  assert.deepEqual(eventsOf(frames), ['accepted', 'text', 'usage', 'done']);
  assert.deepEqual(frames[0]?.['data'], { session: SESSION, message_id: 'm1', run: 'run_0' });
});

test('a repeated message_id is answered with the first run, without a second', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => run.start().say('once').end();
  const params = { ...SEND, message_id: 'm1' };
  socket.send({ id: 1, method: 'chat.send', params });
  const first = await socket.stream(1);
  socket.send({ id: 2, method: 'chat.send', params });
  const second = await socket.stream(2);
  assert.deepEqual(
    second.map((frame) => ({ ...frame, id: 1 })),
    first,
  );
  assert.equal(gateway.dispatcher.runs.length, 1);
});

test('a run of an earlier process begins with restart', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => run.start(2).say('again').end();
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const [restart] = await socket.stream(1);
  assert.deepEqual(restart, { id: 1, event: 'restart', data: { attempt: 2 }, seq: 1 });
});

test('an id of a stream that is still open is refused for another', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ id: '1', method: 'chat.send', params: SEND });
  const run = await gateway.dispatcher.run();
  socket.send({ id: '1', method: 'chat.send', params: SEND });
  assert.equal((await socket.next())['code'], 'invalid_request');
  socket.send({ id: 1, method: 'chat.send', params: { ...SEND, peer: 'other' } });
  const other = await gateway.dispatcher.run(1);
  run.start().end();
  other.start().end();
  assert.equal((await socket.stream('1')).at(-1)?.['event'], 'done');
});

test('chat.abort by id stops the run, and its stream ends with done', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ id: 's', method: 'chat.send', params: SEND });
  (await gateway.dispatcher.run()).start().say('a');
  await socket.next();
  socket.send({ id: 'x', method: 'chat.abort', params: { id: 's' } });
  const frames = [await socket.next(), await socket.next()];
  assert.deepEqual(
    frames.find((frame) => frame['id'] === 'x'),
    { id: 'x', result: { aborted: true } },
  );
  assert.equal(frames.find((frame) => frame['id'] === 's')?.['event'], 'done');
  const again = await socket.call('y', 'chat.abort', { id: 's' });
  assert.deepEqual(again['result'], { aborted: false });
});

test('chat.abort stops a run that was not accepted yet when it came', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  const gate = Promise.withResolvers<void>();
  gateway.dispatcher.gate = gate.promise;
  socket.send({ id: 's', method: 'chat.send', params: SEND });
  const aborted = await socket.call('x', 'chat.abort', { id: 's' });
  assert.deepEqual(aborted['result'], { aborted: true });
  gate.resolve();
  assert.deepEqual(eventsOf(await socket.stream('s')), ['done']);
  assert.equal(gateway.dispatcher.active, 0);
});

test('chat.abort by session stops the run of another connection', async () => {
  await using gateway = await openTestGateway();
  const [sender, other] = [await connect(gateway), await connect(gateway)];
  sender.send({ id: 1, method: 'chat.send', params: SEND });
  await gateway.dispatcher.run();
  const answer = await other.call(1, 'chat.abort', { session: SESSION });
  assert.deepEqual(answer['result'], { aborted: true });
  assert.deepEqual(eventsOf(await sender.stream(1)), ['done']);
  for (const params of [{}, { id: 1, session: SESSION }]) {
    assert.equal((await other.call(2, 'chat.abort', params))['code'], 'invalid_params');
  }
});

test('a closed connection does not end its run', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const run = await gateway.dispatcher.run();
  run.start().say('a');
  await socket.next();
  socket.raw.close();
  await socket.closed;
  assert.equal(run.log.ended, false);
  const other = await connect(gateway);
  run.say('b').end();
  other.send({
    id: 'r',
    method: 'chat.resume',
    params: { session: SESSION, run: 'run_0', after: 2 },
  });
  const frames = await other.stream('r');
  assert.deepEqual(eventsOf(frames), ['text', 'usage', 'done']);
  assert.equal(frames[0]?.['data'], 'b');
});

test('chat.resume goes on live after what it missed', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const run = await gateway.dispatcher.run();
  run.start().say('a', 'b');
  socket.send({ id: 'r', method: 'chat.resume', params: { session: SESSION } });
  const first = await socket.until((frame) => frame['id'] === 'r' && frame['seq'] === 3);
  assert.equal(first['data'], 'b');
  run.say('c').end();
  assert.deepEqual(eventsOf(await socket.stream('r')), ['text', 'usage', 'done']);
});

test('chat.abort of a resumed stream ends that stream only', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  socket.send({ id: 1, method: 'chat.send', params: SEND });
  const run = await gateway.dispatcher.run();
  run.start().say('a');
  socket.send({ id: 'r', method: 'chat.resume', params: { session: SESSION } });
  await socket.until((frame) => frame['id'] === 'r');
  socket.send({ id: 'x', method: 'chat.abort', params: { id: 'r' } });
  assert.deepEqual(eventsOf(await socket.stream('r')), ['done']);
  assert.equal(run.log.ended, false);
  run.end();
  assert.equal((await socket.stream(1)).at(-1)?.['event'], 'done');
});

test('chat.resume of a session without a run is not_found', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  const frame = await socket.call(1, 'chat.resume', { session: SESSION });
  assert.equal(frame['code'], 'not_found');
});

test('session.watch shows every run with its message and end, until it is aborted', async () => {
  await using gateway = await openTestGateway();
  const [watcher, sender] = [await connect(gateway), await connect(gateway)];
  watcher.send({ id: 'w', method: 'session.watch', params: { session: SESSION } });
  await watcher.call('p', 'ping');
  gateway.dispatcher.script = (run) => run.start().say('hi').end();
  sender.send({ id: 1, method: 'chat.send', params: SEND });
  await sender.stream(1);
  gateway.dispatcher.script = (run) => run.start().fail('budget_exceeded', 'no more');
  sender.send({ id: 2, method: 'chat.send', params: SEND });
  await sender.stream(2);
  const seen: Json[] = [];
  while (seen.filter((frame) => frame['event'] === 'end').length < 2) {
    seen.push(await watcher.next());
  }
  assert.deepEqual(eventsOf(seen), ['message', 'text', 'usage', 'end', 'message', 'end']);
  assert.deepEqual(seen[0]?.['data'], { role: 'user', content: 'hello', run: 'run_0' });
  assert.deepEqual(seen[3]?.['data'], { run: 'run_0', stop_reason: 'stop' });
  assert.deepEqual(seen[5]?.['data'], {
    run: 'run_1',
    stop_reason: 'error',
    error: { code: 'budget_exceeded', message: 'no more' },
  });
  watcher.send({ id: 'x', method: 'chat.abort', params: { id: 'w' } });
  assert.deepEqual(eventsOf(await watcher.stream('w')), ['done']);
});

test('a JSON-RPC request is answered with its result after its done', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => run.start().say('a').end();
  socket.send({ jsonrpc: '2.0', id: 'j', method: 'chat.send', params: SEND });
  const frames = [
    await socket.next(),
    await socket.next(),
    await socket.next(),
    await socket.next(),
  ];
  assert.deepEqual(
    frames.map((frame) => (frame['params'] as { event?: string } | undefined)?.event ?? frame),
    [
      'text',
      'usage',
      'done',
      { jsonrpc: '2.0', id: 'j', result: { run: 'run_0', stop_reason: 'stop' } },
    ],
  );
});

test('a chat.send without an id runs in silence', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.dispatcher.script = (run) => run.start().say('a').end();
  socket.send({ jsonrpc: '2.0', method: 'chat.send', params: SEND });
  await gateway.dispatcher.run();
  assert.deepEqual(await socket.call(1, 'ping'), { id: 1, result: 'pong' });
});

test('chat.send is refused while the gateway drains', async () => {
  await using gateway = await openTestGateway();
  const socket = await connect(gateway);
  gateway.gateway.drain();
  assert.equal((await socket.call(1, 'chat.send', SEND))['code'], 'shutting_down');
});
