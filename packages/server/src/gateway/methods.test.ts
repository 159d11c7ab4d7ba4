/** The methods that answer at once, each against its result schema. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METHODS, type MethodName } from '@exoclaw/protocol';
import { openTestGateway, type TestGateway } from '../../test/gateway-harness.ts';
import { createRouter } from '../router/router.ts';
import type { InboundMessage, Message, Store } from '../store/store.ts';

const SESSION = 'main:web:me:main';

/** The result of a call, checked to be what the method table promises, and nothing more. */
async function call(gateway: TestGateway, method: MethodName, params: unknown = {}) {
  const socket = await gateway.connect();
  await socket.next();
  const { result, error } = await socket.call('1', method, params);
  assert.equal(error, undefined);
  assert.deepEqual(METHODS[method].result.parse(result), result);
  return result as Record<string, unknown>;
}

async function store(gateway: TestGateway, run: string, answer: readonly Message[]): Promise<void> {
  const message: InboundMessage = {
    id: run,
    sessionKey: SESSION,
    agentId: 'main',
    address: { channel: 'web', account: 'me', peer: 'main' },
    content: `question ${run}`,
    acceptedAtMs: 1_800_000_000_000,
  };
  const epoch = await gateway.store.nextEpoch();
  await gateway.store.beginRun(message, epoch, 1_800_000_000_000);
  await gateway.store.commitRun({
    id: run,
    sessionKey: SESSION,
    epoch,
    state: 'done',
    messages: answer,
    atMs: 1_800_000_000_000,
  });
}

test('status says what runs', async () => {
  await using gateway = await openTestGateway({ demo: true });
  gateway.clock.advance(90_500);
  assert.partialDeepStrictEqual(await call(gateway, 'status'), {
    version: '0.1.0',
    protocol: 1,
    uptime_s: 90,
    ready: true,
    demo: true,
    connections: 1,
    running: 0,
    plugins: [{ name: 'echo', tools: ['echo'], state: 'ready' }],
    store: { engine: 'sqlite', ephemeral: true },
  });
});

test('chat.history pages from the newest back, each page in order', async () => {
  await using gateway = await openTestGateway();
  for (const run of ['r1', 'r2']) {
    await store(gateway, run, [
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'let me', metadata: { anthropic: { signature: 'opaque' } } },
          { type: 'tool-call', id: 't', name: 'echo', input: { text: 'x' } },
        ],
      },
      { role: 'tool-result', toolCallId: 't', name: 'echo', content: 'x', isError: false },
      { role: 'assistant', content: [{ type: 'text', text: 'done' }], stopped: 'aborted' },
    ]);
  }
  const newest = await call(gateway, 'chat.history', { session: SESSION, limit: 5 });
  const turns = newest['turns'] as readonly Record<string, unknown>[];
  assert.deepEqual(
    turns.map(({ seq }) => seq),
    [4, 5, 6, 7, 8],
  );
  assert.equal(newest['cursor'], 4);
  assert.partialDeepStrictEqual(turns[1], { role: 'user', content: 'question r2', run: 'r2' });
  assert.deepEqual(turns[2]?.['content'], [
    { type: 'text', text: 'let me' },
    { type: 'tool_use', id: 't', name: 'echo', input: { text: 'x' } },
  ]);
  assert.deepEqual(turns[3]?.['content'], {
    tool_use_id: 't',
    name: 'echo',
    content: 'x',
    is_error: false,
  });
  assert.equal(turns[4]?.['stopped'], 'aborted');
  const older = await call(gateway, 'chat.history', { session: SESSION, cursor: 4 });
  assert.deepEqual(
    (older['turns'] as readonly Record<string, unknown>[]).map(({ seq }) => seq),
    [1, 2, 3],
  );
  assert.equal(older['cursor'], undefined);
});

test('a page of chat.history is no larger than a frame, but never empty', async () => {
  await using gateway = await openTestGateway({ limits: { frameBytes: 1000 } });
  const text = 'x'.repeat(2000);
  for (const run of ['r1', 'r2']) {
    await store(gateway, run, [{ role: 'assistant', content: [{ type: 'text', text }] }]);
  }
  const page = await call(gateway, 'chat.history', { session: SESSION });
  assert.deepEqual(
    (page['turns'] as readonly Record<string, unknown>[]).map(({ seq }) => seq),
    [4],
  );
  assert.equal(page['cursor'], 4);
});

test('sessions are listed, renamed and cleared', async () => {
  await using gateway = await openTestGateway();
  await store(gateway, 'r1', [{ role: 'assistant', content: [{ type: 'text', text: 'a' }] }]);
  assert.deepEqual(await call(gateway, 'session.rename', { session: SESSION, title: 'Trip' }), {
    renamed: true,
  });
  const { sessions } = await call(gateway, 'session.list');
  assert.deepEqual(sessions, [
    {
      session: SESSION,
      agent: 'main',
      channel: 'web',
      account: 'me',
      peer: 'main',
      title: 'Trip',
      messages: 2,
      created: '2027-01-15T08:00:00.000Z',
      updated: '2027-01-15T08:00:00.000Z',
      running: false,
    },
  ]);
  assert.deepEqual(await call(gateway, 'session.clear', { session: SESSION }), { removed: 2 });
});

test('session.clear is refused while a run goes on', async () => {
  await using gateway = await openTestGateway();
  const socket = await gateway.connect();
  await socket.next();
  const params = { channel: 'web', account: 'me', content: 'x' };
  socket.send({ id: 1, method: 'chat.send', params });
  await gateway.dispatcher.run();
  const frame = await socket.call(2, 'session.clear', { session: SESSION });
  assert.equal(frame['code'], 'session_busy');
});

test('route.explain names the winner and why the others lost', async () => {
  const router = createRouter({
    bindings: [{ agentId: 'work', channel: 'slack', team: 'T1' }],
    defaultAgentId: 'main',
  });
  await using gateway = await openTestGateway({ router: () => router });
  const params = { channel: 'slack', account: 'a', team: 'T1' };
  const explained = await call(gateway, 'route.explain', params);
  assert.partialDeepStrictEqual(explained, {
    agent: 'work',
    session: 'work:slack:a:main',
    tier: 'team',
    binding: { agentId: 'work', channel: 'slack', team: 'T1' },
  });
  assert.equal((explained['considered'] as readonly unknown[]).length, 7);
});

test('plugins are listed, called and unloaded; a failed load says why', async () => {
  await using gateway = await openTestGateway();
  const { plugins } = await call(gateway, 'plugin.list');
  assert.partialDeepStrictEqual(plugins, [{ name: 'echo', capabilities: [] }]);
  assert.deepEqual(await call(gateway, 'plugin.call', { name: 'echo', input: { text: 'é' } }), {
    ok: true,
    output: '{"text":"é"}',
    logs: [{ level: 'info', text: 'called' }],
    duration_ms: 1,
  });
  assert.deepEqual(await call(gateway, 'plugin.unload', { name: 'nothing' }), { unloaded: false });
  const socket = await gateway.connect();
  await socket.next();
  const frame = await socket.call(1, 'plugin.load', { name: 'weather' });
  assert.deepEqual(frame, { id: 1, error: 'No such file', code: 'plugin_error' });
});

test('budget.status shows each limit and when it starts anew', async () => {
  const asked: unknown[] = [];
  await using gateway = await openTestGateway({
    meter: {
      async budgetStatus(...query) {
        asked.push(query);
        const common = { id: undefined, unit: 'tokens', used: 1, held: 2, limit: 3 } as const;
        return [
          { ...common, scope: 'all', period: 'day', resetsAtMs: 1_800_057_600_000 },
          { ...common, scope: 'session', id: SESSION, period: 'session', resetsAtMs: undefined },
        ];
      },
    },
  });
  assert.deepEqual(await call(gateway, 'budget.status', { session: SESSION }), {
    budgets: [
      {
        scope: 'all',
        period: 'day',
        unit: 'tokens',
        used: 1,
        held: 2,
        limit: 3,
        resets: '2027-01-16T00:00:00.000Z',
      },
      {
        scope: 'session',
        id: SESSION,
        period: 'session',
        unit: 'tokens',
        used: 1,
        held: 2,
        limit: 3,
      },
    ],
  });
  assert.deepEqual(asked, [[SESSION, undefined]]);
});

test('usage.query sums the ledger and shows its rows', async () => {
  await using gateway = await openTestGateway();
  const at = Date.parse('2026-11-22T10:00:00Z');
  await seedLedger(gateway.store, at);
  const usage = await call(gateway, 'usage.query', { by: 'model', rows: 10 });
  const sums = {
    calls: 1,
    input_tokens: 100,
    output_tokens: 20,
    cached_tokens: 30,
    cache_write_tokens: 0,
    cost_usd: 0.0015,
    estimated: false,
  };
  assert.partialDeepStrictEqual(usage['total'], sums);
  assert.deepEqual(usage['groups'], [{ key: 'demo/large', ...sums }]);
  assert.partialDeepStrictEqual(usage['rows'], [
    { call: 'c1', at: '2026-11-22T10:00:00.000Z', model: 'large', latency_ms: 5 },
  ]);
  const nothing = await call(gateway, 'usage.query', { from: '2026-11-23T00:00:00Z' });
  assert.partialDeepStrictEqual(nothing['total'], { calls: 0, cost_usd: 0 });
  assert.deepEqual(nothing['rows'], []);
});

async function seedLedger(store: Store, atMs: number): Promise<void> {
  const call = {
    callId: 'c1',
    runId: 'r1',
    sessionKey: SESSION,
    agentId: 'main',
    provider: 'demo',
    model: 'large',
    atMs,
  };
  await store.reserve({ ...call, tokens: 200, nanoUsd: 2_000_000, lines: [] });
  await store.settle({
    ...call,
    usage: { input: 100, output: 20, cacheRead: 30, cacheWrite: 0 },
    costNanoUsd: 1_500_000,
    estimated: false,
    status: 'ok',
    latencyMs: 5,
  });
}
