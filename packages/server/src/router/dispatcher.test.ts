import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLocalBus } from '../bus/local.ts';
import { systemClock } from '../lib/clock.ts';
import { createSilentLog } from '../lib/log.ts';
import type { Provider } from '../llm/provider.ts';
import { createWindowMemory } from '../memory/window.ts';
import { createMeter } from '../meter/meter.ts';
import { createPrices } from '../meter/price.ts';
import { DEFAULT_RUN_LIMITS } from '../agent/agent.ts';
import { openSqliteStore } from '../store/sqlite/sqlite.ts';
import type { InboundMessage, Store } from '../store/store.ts';
import { openDispatcher } from './dispatcher.ts';
import { createRouter } from './router.ts';

const MODEL = { provider: 'demo', model: 'scripted' } as const;

/** Answers every message with its text, and keeps count of how many it answers at a time. */
function createProvider() {
  const seen = { most: 0, now: 0, calls: 0 };
  const provider: Provider = {
    model: MODEL,
    async *stream() {
      seen.calls += 1;
      seen.now += 1;
      seen.most = Math.max(seen.most, seen.now);
      await new Promise(setImmediate);
      seen.now -= 1;
      const message = { role: 'assistant', content: [{ type: 'text', text: 'yes' }] } as const;
      yield { type: 'finish', model: MODEL, stopReason: 'stop', message, usage: undefined };
    },
  };
  return { provider, seen };
}

function open(store: Store, provider: Provider, agentId = 'main') {
  const log = createSilentLog();
  const clock = systemClock;
  const agent = {
    id: agentId,
    provider,
    systemPrompt: '',
    soulPath: undefined,
    plugins: [],
    maxOutputTokens: 100,
    contextTokens: 1000,
  };
  return openDispatcher({
    store,
    bus: createLocalBus({ store }),
    router: () => createRouter({ bindings: [], defaultAgentId: agentId }),
    agent: (id) => (id === agentId ? agent : undefined),
    run: {
      memory: createWindowMemory({ store, log }),
      meter: createMeter({ store, clock, prices: createPrices(), budgets: () => ({}) }),
      tools: { toolsOf: () => new Map() },
      clock,
      log,
      limits: DEFAULT_RUN_LIMITS,
    },
    lanes: { maxQueued: 8, maxRunning: 8 },
  });
}

function message(peer: string): InboundMessage {
  return {
    id: `run_${peer}`,
    sessionKey: `main:c:a:${peer}`,
    agentId: 'main',
    address: { channel: 'c', account: 'a', peer },
    content: 'hello',
    acceptedAtMs: 0,
  };
}

/** Leaves a message as processes that died while answering it have left it. */
async function cut(store: Store, inbound: InboundMessage, times: number): Promise<void> {
  await store.putInbox(inbound);
  for (let n = 0; n < times; n += 1) {
    await store.beginRun(inbound, await store.nextEpoch(), 0);
  }
}

async function waitUntilIdle(dispatcher: Awaited<ReturnType<typeof open>>): Promise<void> {
  while (dispatcher.active > 0) await new Promise(setImmediate);
}

test('what an earlier process left is answered one at a time at the next start', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  const { provider, seen } = createProvider();
  for (const peer of ['x', 'y', 'z']) await cut(store, message(peer), 1);
  await using dispatcher = await open(store, provider);
  await waitUntilIdle(dispatcher);
  assert.deepEqual([seen.calls, seen.most], [3, 1]);
  for (const peer of ['x', 'y', 'z']) {
    assert.equal((await store.getRun(`run_${peer}`))?.state, 'done');
  }
});

test('a message that stopped the process again and again is set aside, its neighbour answered', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  const { provider, seen } = createProvider();
  await cut(store, message('poison'), 5);
  await cut(store, message('innocent'), 1);
  await using dispatcher = await open(store, provider);
  await waitUntilIdle(dispatcher);
  const poison = await store.getRun('run_poison');
  assert.equal(poison?.state, 'dead');
  assert.match(poison?.error?.message ?? '', /set aside/);
  assert.equal((await store.getRun('run_innocent'))?.state, 'done');
  assert.equal(seen.calls, 1);
});

test('a message for an agent that is gone ends with a reason instead of being kept for ever', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  await cut(store, message('x'), 0);
  await using dispatcher = await open(store, createProvider().provider, 'other');
  await waitUntilIdle(dispatcher);
  assert.deepEqual((await store.getRun('run_x'))?.error?.code, 'no_agent');
});
