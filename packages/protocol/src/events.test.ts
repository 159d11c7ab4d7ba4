import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENTS, parseStreamEvent, toEventFrame, type StreamEvent } from './events.ts';

const SAMPLES: { readonly [Name in StreamEvent['event']]: StreamEvent & { event: Name } } = {
  accepted: { event: 'accepted', data: { session: 's', message_id: 'm', run: 'r' } },
  message: { event: 'message', data: { role: 'user', content: 'hi', run: 'r' }, seq: 1 },
  text: { event: 'text', data: 'hi', seq: 2 },
  tool_use: { event: 'tool_use', data: { id: 't', name: 'echo', input: { a: [1] } }, seq: 3 },
  tool_result: {
    event: 'tool_result',
    data: {
      tool_use_id: 't',
      content: 'x',
      is_error: true,
      duration_ms: 1.5,
      walls: ['wasm'],
      denied: { grant: 'http:a' },
    },
    seq: 4,
  },
  usage: { event: 'usage', data: { input_tokens: 1, output_tokens: 2, cost_usd: 0.5 }, seq: 5 },
  restart: { event: 'restart', data: { attempt: 2 }, seq: 6 },
  end: { event: 'end', data: { run: 'r', stop_reason: 'stop' }, seq: 7 },
  error: { event: 'error', data: 'no', code: 'budget_exceeded', seq: 8 },
  done: { event: 'done', seq: 9 },
};

test('parseStreamEvent() reads every event that toEventFrame() writes', () => {
  assert.deepEqual(Object.keys(SAMPLES).sort(), Object.keys(EVENTS).sort());
  for (const event of Object.values(SAMPLES)) {
    const plain = toEventFrame({ dialect: 'plain', id: '1' }, event);
    assert.equal(plain['id'], '1');
    assert.deepEqual(parseStreamEvent(JSON.parse(JSON.stringify(plain))), event);
    const strict = toEventFrame({ dialect: 'jsonrpc', id: 1 }, event);
    assert.equal(strict['method'], 'chat.event');
    assert.deepEqual(parseStreamEvent(strict['params']), event);
  }
});

test('parseStreamEvent() skips an event it does not know, or that is malformed', () => {
  for (const frame of [
    { id: 1, event: 'hologram', data: 1 },
    { id: 1, event: 'text', data: 5 },
    { id: 1, event: 'toString' },
    { id: 1 },
    null,
    'text',
  ]) {
    assert.equal(parseStreamEvent(frame), undefined);
  }
});

test('parseStreamEvent() reads an error with a code of a later version as internal', () => {
  const parsed = parseStreamEvent({ event: 'error', data: 'no', code: 'from_the_future' });
  assert.deepEqual(parsed, { event: 'error', data: 'no', code: 'internal' });
});
