import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createSilentLog } from '../lib/log.ts';
import type { Message, StoredMessage } from '../store/store.ts';
import type { ContextRequest } from './memory.ts';
import { createWindowMemory } from './window.ts';

/** A history of runs, each a question, a tool round trip and an answer. */
function createHistory() {
  const history: StoredMessage[] = [];
  const add = (runId: string, message: Message) =>
    history.push({ seq: history.length + 1, runId, atMs: 0, message });
  return {
    readMessages: (_key: string, page: { limit: number; beforeSeq?: number }) =>
      Promise.resolve(
        history.filter(({ seq }) => seq < (page.beforeSeq ?? Infinity)).slice(-page.limit),
      ),
    addRun(runId: string, filler: string) {
      add(runId, { role: 'user', content: `question ${runId} ${filler}` });
      add(runId, {
        role: 'assistant',
        content: [{ type: 'tool-call', id: runId, name: 'echo', input: { text: filler } }],
      });
      add(runId, {
        role: 'tool-result',
        toolCallId: runId,
        name: 'echo',
        content: filler,
        isError: false,
      });
      add(runId, { role: 'assistant', content: [{ type: 'text', text: `answer ${runId}` }] });
    },
    ask(runId: string) {
      add(runId, { role: 'user', content: `question ${runId}` });
    },
  };
}

function request(runId: string, maxTokens: number, soulPath?: string): ContextRequest {
  return {
    agentId: 'a',
    sessionKey: 's',
    runId,
    systemPrompt: 'Be brief.',
    soulPath,
    toolTokens: 10,
    maxTokens,
    nowMs: 0,
  };
}

const log = createSilentLog();

test('the context ends with the message to answer and stays within its limit', async () => {
  const history = createHistory();
  for (let run = 0; run < 50; run += 1) history.addRun(`r${run}`, 'some words to fill the window');
  history.ask('now');
  const context = await createWindowMemory({ store: history, log }).assemble(request('now', 600));
  assert.deepEqual(context.messages.at(-1), { role: 'user', content: 'question now' });
  const total = Object.values(context.parts).reduce((sum, tokens) => sum + tokens, 0);
  assert.ok(total <= 600, `${total} tokens`);
  assert.ok(context.messages.length > 4);
});

test('every tool call in the context has its result and the first message is the user’s', async () => {
  const history = createHistory();
  for (let run = 0; run < 30; run += 1) history.addRun(`r${run}`, 'x '.repeat(run));
  history.ask('now');
  for (const maxTokens of [60, 150, 333, 700, 5000]) {
    const memory = createWindowMemory({ store: history, log });
    const { messages } = await memory.assemble(request('now', maxTokens));
    assert.equal(messages[0]?.role, 'user');
    const calls = messages.flatMap((message) =>
      message.role === 'assistant'
        ? message.content.flatMap((block) => (block.type === 'tool-call' ? [block.id] : []))
        : [],
    );
    const results = messages.flatMap((message) =>
      message.role === 'tool-result' ? [message.toolCallId] : [],
    );
    assert.deepEqual(calls, results);
  }
});

test('the start of the window moves in strides, so that most prompts extend the last one', async () => {
  const history = createHistory();
  const memory = createWindowMemory({ store: history, log });
  let previous: readonly Message[] = [];
  let extended = 0;
  for (let run = 0; run < 40; run += 1) {
    history.addRun(`r${run}`, 'some words to fill the window');
    const { messages } = await memory.assemble(request(`r${run}`, 600));
    if (JSON.stringify(messages.slice(0, previous.length)) === JSON.stringify(previous)) {
      extended += 1;
    }
    previous = messages;
  }
  assert.ok(extended >= 28, `${extended} of 40 prompts extended the one before`);
});

test('the soul comes first and an edit of its file shows in the next context', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'exoclaw-soul-'));
  try {
    const soulPath = path.join(folder, 'soul.md');
    const history = createHistory();
    history.ask('now');
    const memory = createWindowMemory({ store: history, log });
    assert.equal((await memory.assemble(request('now', 500, soulPath))).system, 'Be brief.');
    await writeFile(soulPath, 'You are Ada.\n');
    const { system } = await memory.assemble(request('now', 500, soulPath));
    assert.equal(system, 'You are Ada.\n\nBe brief.');
    await writeFile(soulPath, 'You are Grace Hopper.\n');
    assert.match((await memory.assemble(request('now', 500, soulPath))).system, /Grace Hopper/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
