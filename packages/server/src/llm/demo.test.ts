import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, toError, toFinish, toRequest, toText } from '../../test/llm-events.ts';
import type { Clock } from '../lib/clock.ts';
import type { Message } from '../store/store.ts';
import { createDemoProvider } from './demo.ts';
import type { LlmRequest } from './provider.ts';

/** A clock that does not keep anybody waiting, but says for how long it would have. */
function createHastyClock(): Clock & { readonly waits: number[] } {
  const waits: number[] = [];
  return { waits, now: () => 0, sleep: async (ms) => void waits.push(ms) };
}

function ask(overrides: Partial<LlmRequest>): ReturnType<typeof collect> {
  const provider = createDemoProvider({ model: 'demo', clock: createHastyClock() });
  return collect(provider, toRequest(overrides));
}

function user(...texts: readonly string[]): Message[] {
  return texts.map((content) => ({ role: 'user', content }));
}

test('demo provider says what it is, word by word', async () => {
  const clock = createHastyClock();
  const provider = createDemoProvider({ model: 'demo', clock });
  const events = await collect(provider, toRequest({ messages: user('Explain gravity') }));
  const finish = toFinish(events);
  const text = toText(finish.message);
  assert.match(text, /^\[demo model\] .*exoclaw onboard/);
  const words = events.flatMap((event) => (event.type === 'text-delta' ? [event.text] : []));
  assert.equal(words.join(''), text);
  assert.equal(words.length, text.split(' ').length);
  assert.deepEqual(
    clock.waits,
    words.map(() => 15),
  );
  assert.equal(finish.usage?.output, Math.ceil(text.length / 4));
});

for (const phrase of ['echo hello there', 'Repeat: hello there', 'please say "hello there"']) {
  test(`demo provider calls the echo tool for ${phrase}`, async () => {
    const events = await ask({ messages: user(phrase) });
    const finish = toFinish(events);
    assert.equal(finish.stopReason, 'tool-call');
    const [call] = finish.message.content;
    assert.ok(call?.type === 'tool-call');
    assert.equal(call.name, 'echo');
    assert.deepEqual(call.input, { text: 'hello there' });
    assert.deepEqual(
      events.filter(({ type }) => type === 'tool-call'),
      [{ type: 'tool-call', call }],
    );
  });
}

test('demo provider echoes in text when no such tool is offered', async () => {
  const finish = toFinish(await ask({ messages: user('echo hello'), tools: [] }));
  assert.equal(finish.stopReason, 'stop');
  assert.match(toText(finish.message), /hello/);
});

test('demo provider answers with the result of its tool call', async () => {
  const messages: Message[] = [
    ...user('echo hello'),
    { role: 'assistant', content: [{ type: 'tool-call', id: 'c', name: 'echo', input: {} }] },
    { role: 'tool-result', toolCallId: 'c', name: 'echo', content: 'hello!', isError: false },
  ];
  assert.match(toText(toFinish(await ask({ messages })).message), /"echo" answered: hello!$/);
});

test('demo provider remembers a name from the messages it is sent', async () => {
  const known = await ask({ messages: user('My name is Ada', 'echo x', 'What is my name?') });
  assert.match(toText(toFinish(known).message), /Your name is Ada/);
  const unknown = await ask({ messages: user('What is my name?') });
  assert.match(toText(toFinish(unknown).message), /have not told me/);
});

test('demo provider repeats what was said before', async () => {
  const events = await ask({ messages: user('I like tea', 'What did I say?') });
  assert.match(toText(toFinish(events).message), /You said: "I like tea"/);
});

test('demo provider stops in the middle when it is aborted', async () => {
  const abort = new AbortController();
  const clock: Clock = {
    now: () => 0,
    sleep: async (_ms, { signal }) => signal.throwIfAborted(),
  };
  const provider = createDemoProvider({ model: 'demo', clock });
  const events = [];
  for await (const event of provider.stream(toRequest(), { signal: abort.signal })) {
    events.push(event);
    abort.abort();
  }
  const event = toError(events);
  assert.equal(event.error.code, 'aborted');
  assert.equal(toText(event.message), '[demo');
  assert.equal(event.message.stopped, 'aborted');
});
