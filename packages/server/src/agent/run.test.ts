import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../lib/clock.ts';
import { createSilentLog } from '../lib/log.ts';
import type { LlmEvent, LlmRequest, Provider } from '../llm/provider.ts';
import { createWindowMemory } from '../memory/window.ts';
import type { BudgetLimits } from '../meter/budget.ts';
import { createMeter } from '../meter/meter.ts';
import { createPrices } from '../meter/price.ts';
import type { Tool } from '../plugins/tools.ts';
import { openSqliteStore } from '../store/sqlite/sqlite.ts';
import type {
  AssistantMessage,
  InboundMessage,
  Message,
  RunStep,
  ToolCallBlock,
} from '../store/store.ts';
import { DEFAULT_RUN_LIMITS, type RunLimits } from './agent.ts';
import type { RunEvent } from './events.ts';
import { runAgent } from './run.ts';

const MODEL = { provider: 'openai-compatible', model: 'scripted' } as const;
const USAGE = { input: 10, output: 5, cacheRead: 0, cacheWrite: 0 };

/** What the scripted model does at one call. */
type Reply =
  | { readonly text?: string; readonly calls?: readonly ToolCallBlock[] }
  | { readonly text?: string; readonly fails: string }
  /** Says something, then waits until it is aborted. */
  | { readonly text?: string; readonly hangs: () => void };

function toolCall(id: string, input: unknown, name = 'echo'): ToolCallBlock {
  return { type: 'tool-call', id, name, input };
}

async function* playReply(reply: Reply, signal: AbortSignal): AsyncGenerator<LlmEvent> {
  const content: AssistantMessage['content'][number][] = [];
  if (reply.text !== undefined) {
    content.push({ type: 'text', text: reply.text });
    yield { type: 'text-delta', text: reply.text };
  }
  const message = { role: 'assistant', content } as const;
  if ('hangs' in reply) {
    reply.hangs();
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
    const error = { code: 'aborted', message: 'aborted', retryable: false } as const;
    yield { type: 'error', model: MODEL, error, message, usage: undefined };
    return;
  }
  if ('fails' in reply) {
    const error = { code: 'provider_error', message: reply.fails, retryable: false } as const;
    yield { type: 'error', model: MODEL, error, message, usage: undefined };
    return;
  }
  for (const call of reply.calls ?? []) {
    content.push(call);
    yield { type: 'tool-call', call };
  }
  const stopReason = reply.calls === undefined ? 'stop' : 'tool-call';
  yield { type: 'finish', model: MODEL, stopReason, message, usage: USAGE };
}

/** One session on a real store, a scripted model, and an echo tool that counts its calls. */
async function openStage(
  options: { readonly limits?: Partial<RunLimits>; readonly budgets?: BudgetLimits } = {},
) {
  const store = await openSqliteStore({ path: ':memory:' });
  const clock = systemClock;
  const log = createSilentLog();
  const epoch = await store.nextEpoch();
  const requests: LlmRequest[] = [];
  const toolInputs: unknown[] = [];
  let script: ((call: number) => Reply) | undefined;
  const provider: Provider = {
    model: MODEL,
    stream(request, { signal }) {
      requests.push(request);
      return playReply(script?.(requests.length) ?? { text: 'hello' }, signal);
    },
  };
  const echo: Tool = {
    spec: { name: 'echo', description: 'Repeats', inputSchema: { type: 'object' } },
    check: (input) => (typeof input === 'object' ? undefined : 'expected an object'),
    call: (input) => {
      toolInputs.push(input);
      return Promise.resolve({ content: JSON.stringify(input), isError: false });
    },
  };
  const agent = {
    id: 'a',
    provider,
    systemPrompt: '',
    soulPath: undefined,
    plugins: ['echo'],
    maxOutputTokens: 1000,
    contextTokens: 4000,
  };
  const meter = createMeter({
    store,
    clock,
    prices: createPrices(() => [
      { provider: MODEL.provider, model: MODEL.model, input: 1, output: 2 },
    ]),
    budgets: () => options.budgets ?? {},
  });
  const deps = {
    store,
    memory: createWindowMemory({ store, log }),
    meter,
    tools: { toolsOf: () => new Map([['echo', echo]]) },
    clock,
    log,
    limits: { ...DEFAULT_RUN_LIMITS, ...options.limits },
  };
  let messages = 0;
  return {
    store,
    requests,
    toolInputs,
    async run(
      content: string,
      play: (call: number) => Reply,
      controller = new AbortController(),
    ): Promise<RunEvent[]> {
      requests.length = 0;
      script = play;
      messages += 1;
      const message: InboundMessage = {
        id: `r${messages}`,
        sessionKey: 'a:c:x:main',
        agentId: 'a',
        address: { channel: 'c', account: 'x', peer: 'main' },
        content,
        acceptedAtMs: 0,
      };
      await store.beginRun(message, epoch, clock.now());
      const input = { message, epoch, attempt: 1, steps: [] };
      return Array.fromAsync(runAgent(agent, input, deps, controller));
    },
    /** A run that an earlier process began and journaled `steps` of, taken up by the next one. */
    async resume(content: string, steps: readonly RunStep[]): Promise<RunEvent[]> {
      requests.length = 0;
      const message: InboundMessage = {
        id: 'cut',
        sessionKey: 'a:c:x:main',
        agentId: 'a',
        address: { channel: 'c', account: 'x', peer: 'main' },
        content,
        acceptedAtMs: 0,
      };
      await store.beginRun(message, epoch, clock.now());
      for (const step of steps) await store.journalStep('cut', epoch, step);
      const next = await store.nextEpoch();
      const begun = await store.beginRun(message, next, clock.now());
      assert.ok(begun.kind === 'retry');
      const input = { message, epoch: next, attempt: begun.attempts, steps: begun.steps };
      return Array.fromAsync(runAgent(agent, input, deps, new AbortController()));
    },
    async history(): Promise<Message[]> {
      const stored = await store.readMessages('a:c:x:main', { limit: 1000 });
      return stored.map(({ message }) => message);
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

function typesOf(events: readonly RunEvent[]): string[] {
  return events.map(({ type }) => type);
}

function assertValidHistory(messages: readonly Message[]): void {
  const open = new Set<string>();
  for (const message of messages) {
    if (message.role === 'tool-result') assert.ok(open.delete(message.toolCallId));
    else assert.equal(open.size, 0, 'a tool call has no result');
    if (message.role !== 'assistant') continue;
    for (const block of message.content) if (block.type === 'tool-call') open.add(block.id);
  }
  assert.equal(open.size, 0, 'a tool call has no result');
}

test('a run streams the answer, bills it and keeps it', async () => {
  await using stage = await openStage();
  const events = await stage.run('hi', () => ({ text: 'hello' }));
  assert.deepEqual(typesOf(events), ['run-start', 'text-delta', 'usage', 'run-end']);
  const usage = events.find((event) => event.type === 'usage');
  assert.deepEqual(usage?.usage, USAGE);
  assert.equal(usage?.costNanoUsd, 10 * 1000 + 5 * 2000);
  assert.deepEqual(await stage.history(), [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: [{ type: 'text', text: 'hello' }] },
  ]);
});

test('tool results go back to the model in the order it asked', async () => {
  await using stage = await openStage();
  const events = await stage.run('hi', (call) =>
    call === 1 ? { calls: [toolCall('a', { n: 1 }), toolCall('b', { n: 2 })] } : { text: 'done' },
  );
  assert.deepEqual(typesOf(events), [
    'run-start',
    'tool-call',
    'tool-call',
    'tool-result',
    'tool-result',
    'text-delta',
    'usage',
    'run-end',
  ]);
  const [, answer, first, second] = stage.requests[1]?.messages ?? [];
  assert.equal(answer?.role, 'assistant');
  assert.ok(first?.role === 'tool-result' && second?.role === 'tool-result');
  assert.deepEqual([first.toolCallId, second.toolCallId], ['a', 'b']);
  assertValidHistory(await stage.history());
});

test('the next run sends the history of the last, tool calls included', async () => {
  await using stage = await openStage();
  await stage.run('one', (call) => (call === 1 ? { calls: [toolCall('a', {})] } : { text: 'ok' }));
  await stage.run('two', () => ({ text: 'ok' }));
  assert.deepEqual(
    stage.requests[0]?.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool-result', 'assistant', 'user'],
  );
});

test('an unknown tool and wrong arguments are answered to the model, not run', async () => {
  await using stage = await openStage();
  const events = await stage.run('hi', (call) =>
    call === 1
      ? { calls: [toolCall('a', {}, 'nope'), toolCall('b', 'not json')] }
      : { text: 'sorry' },
  );
  const results = events.filter((event) => event.type === 'tool-result');
  assert.deepEqual(
    results.map(({ isError }) => isError),
    [true, true],
  );
  assert.deepEqual(stage.toolInputs, []);
  assert.equal(events.at(-1)?.type, 'run-end');
});

test('an agent that repeats the same call three times is stopped, with valid history', async () => {
  await using stage = await openStage();
  const events = await stage.run('hi', (call) => ({ calls: [toolCall(`c${call}`, { same: 1 })] }));
  assert.equal(stage.toolInputs.length, 2);
  const error = events.find((event) => event.type === 'run-error');
  assert.match(error?.message ?? '', /echo was called 3 times in a row with the same arguments/);
  assert.deepEqual(events.at(-1), { type: 'run-end', stopReason: 'limit' });
  assertValidHistory(await stage.history());
  const next = await stage.run('again', () => ({ text: 'fine' }));
  assert.deepEqual(next.at(-1), { type: 'run-end', stopReason: 'stop' });
});

test('a run stops after its limit of model calls', async () => {
  await using stage = await openStage({ limits: { maxModelCalls: 4 } });
  const events = await stage.run('hi', (call) => ({ calls: [toolCall(`c${call}`, { call })] }));
  assert.equal(stage.requests.length, 4);
  assert.match(
    events.find((event) => event.type === 'run-error')?.message ?? '',
    /max_model_calls/,
  );
  assertValidHistory(await stage.history());
});

test('more parallel tool calls than allowed are refused one by one', async () => {
  await using stage = await openStage({ limits: { maxParallelTools: 2 } });
  await stage.run('hi', (call) =>
    call === 1
      ? { calls: [toolCall('a', { n: 1 }), toolCall('b', { n: 2 }), toolCall('c', { n: 3 })] }
      : { text: 'done' },
  );
  assert.equal(stage.toolInputs.length, 2);
  const results = (await stage.history()).filter(({ role }) => role === 'tool-result');
  assert.equal(results.length, 3);
});

test('an aborted run keeps what was streamed, marked', async () => {
  await using stage = await openStage();
  const controller = new AbortController();
  const hangs = () => controller.abort();
  const events = await stage.run('hi', () => ({ text: 'partial', hangs }), controller);
  assert.deepEqual(events.at(-1), { type: 'run-end', stopReason: 'aborted' });
  assert.equal(
    events.some(({ type }) => type === 'run-error'),
    false,
  );
  assert.deepEqual((await stage.history()).at(-1), {
    role: 'assistant',
    content: [{ type: 'text', text: 'partial' }],
    stopped: 'aborted',
  });
});

test('the time limit of a run ends it with a sentence that names the setting', async () => {
  await using stage = await openStage({ limits: { maxMs: 20 } });
  const events = await stage.run('hi', () => ({ text: 'slow', hangs: () => undefined }));
  const error = events.find((event) => event.type === 'run-error');
  assert.deepEqual([error?.code, /max_seconds/.test(error?.message ?? '')], ['run_limit', true]);
});

test('a provider failure in the middle keeps the text and leaves the session usable', async () => {
  await using stage = await openStage();
  const events = await stage.run('hi', () => ({ text: 'half', fails: 'provider error: cut' }));
  assert.deepEqual(typesOf(events).slice(-2), ['run-error', 'run-end']);
  const run = await stage.store.getRun('r1');
  assert.deepEqual([run?.state, run?.error?.code], ['failed', 'provider_error']);
  await stage.run('again', () => ({ text: 'fine' }));
  assert.deepEqual((await stage.history()).at(-1), {
    role: 'assistant',
    content: [{ type: 'text', text: 'fine' }],
  });
});

test('a run over its budget asks no model and says what to do', async () => {
  await using stage = await openStage({ budgets: { session: 50 } });
  const events = await stage.run('hi '.repeat(200), () => ({ text: 'never' }));
  assert.equal(stage.requests.length, 0);
  const error = events.find((event) => event.type === 'run-error');
  assert.equal(error?.code, 'budget_exceeded');
  assert.match(error?.message ?? '', /^token budget exceeded \(session: 0\/50\)/);
});

test('a cut run goes on from its journal without asking the model again', async () => {
  await using stage = await openStage();
  const message = { role: 'assistant', content: [{ type: 'text', text: 'complete' }] } as const;
  const events = await stage.resume('cut me', [{ kind: 'answer', message }]);
  assert.equal(stage.requests.length, 0);
  assert.deepEqual(typesOf(events), ['run-start', 'text-delta', 'run-end']);
  assert.deepEqual(await stage.history(), [{ role: 'user', content: 'cut me' }, message]);
});

test('a cut run does not repeat a tool that had begun, and tells the model so', async () => {
  await using stage = await openStage();
  const message = { role: 'assistant', content: [toolCall('a', {}), toolCall('b', {})] } as const;
  const events = await stage.resume('cut me', [
    { kind: 'answer', message },
    { kind: 'intent', toolCallId: 'a' },
  ]);
  assert.equal(stage.toolInputs.length, 1);
  const [, , unknown] = stage.requests[0]?.messages ?? [];
  assert.match(unknown?.role === 'tool-result' ? unknown.content : '', /outcome is unknown/);
  assert.deepEqual(events.at(-1), { type: 'run-end', stopReason: 'stop' });
  assertValidHistory(await stage.history());
});
