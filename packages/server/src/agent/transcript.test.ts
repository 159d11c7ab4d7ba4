import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AssistantMessage } from '../store/store.ts';
import { RepeatGuard } from './repeat.ts';
import { Transcript } from './transcript.ts';

const ASKS: AssistantMessage = {
  role: 'assistant',
  content: [
    { type: 'text', text: 'let me see' },
    { type: 'tool-call', id: 'a', name: 'echo', input: { text: '1' } },
    { type: 'tool-call', id: 'b', name: 'echo', input: { text: '2' } },
  ],
};

test('a restored run does not repeat a tool whose outcome is unknown', () => {
  const transcript = Transcript.restore([
    { kind: 'answer', message: ASKS },
    { kind: 'intent', toolCallId: 'a' },
  ]);
  assert.deepEqual(
    transcript.pending.map(({ id }) => id),
    ['b'],
  );
  const result = transcript.messages[1];
  assert.ok(result?.role === 'tool-result' && result.isError);
  assert.match(result.content, /outcome is unknown/);
});

test('a restored run keeps the results it had', () => {
  const message = {
    role: 'tool-result',
    toolCallId: 'a',
    name: 'echo',
    content: '1',
    isError: false,
  } as const;
  const transcript = Transcript.restore([
    { kind: 'answer', message: ASKS },
    { kind: 'intent', toolCallId: 'a' },
    { kind: 'result', message },
  ]);
  assert.deepEqual(transcript.messages, [ASKS, message]);
});

test('close() leaves no tool call without a result', () => {
  const transcript = new Transcript();
  transcript.addAnswer(ASKS);
  assert.equal(transcript.close('stopped').length, 2);
  assert.equal(transcript.pending.length, 0);
  assert.equal(transcript.messages.length, 3);
});

test('RepeatGuard counts only calls in a row, whatever the order of their keys', () => {
  const guard = new RepeatGuard(3);
  const call = (input: unknown) => guard.isStuck({ type: 'tool-call', id: 'x', name: 't', input });
  assert.deepEqual(
    [call({ a: 1, b: 2 }), call({ b: 2, a: 1 }), call({ a: 2 }), call({ a: 1, b: 2 })],
    [false, false, false, false],
  );
  assert.deepEqual([call({ a: 1, b: 2 }), call({ a: 1, b: 2 })], [false, true]);
});
