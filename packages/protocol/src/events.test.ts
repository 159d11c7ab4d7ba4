import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENTS, toEventFrame, type StreamEvent } from './events.ts';

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

test('toEventFrame() carries every event whole, in the dialect of its request', () => {
  assert.deepEqual(Object.keys(SAMPLES).sort(), Object.keys(EVENTS).sort());
  for (const event of Object.values(SAMPLES)) {
    assert.deepEqual(toEventFrame({ dialect: 'plain', id: '1' }, event), { id: '1', ...event });
    assert.deepEqual(toEventFrame({ dialect: 'jsonrpc', id: 1 }, event), {
      jsonrpc: '2.0',
      method: 'chat.event',
      params: { id: 1, ...event },
    });
  }
});

test('the schema of an event takes its data and nothing of another shape', () => {
  for (const event of Object.values(SAMPLES)) {
    const data = 'data' in event ? event.data : null;
    assert.deepEqual(EVENTS[event.event].safeParse(data).data, data);
    assert.equal(EVENTS[event.event].safeParse(5).success, false);
  }
});
