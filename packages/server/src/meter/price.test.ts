import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import type { ModelId } from '../llm/provider.ts';
import { createPrices, type PriceRow } from './price.ts';

const NONE = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
const SONNET: ModelId = { provider: 'anthropic', model: 'claude-sonnet-4-5-20250929' };

test('costOf() prices plain input, cache reads, cache writes and output apart', async () => {
  const prices = createPrices();
  const cost = async (usage: Partial<typeof NONE>): Promise<number> =>
    (await prices.costOf(SONNET, { ...NONE, ...usage })).nanoUsd;
  // USD 3, 15, 0.30 and 3.75 per million.
  assert.equal(await cost({ input: 1000 }), 3_000_000);
  assert.equal(await cost({ output: 1000 }), 15_000_000);
  assert.equal(await cost({ input: 1000, cacheRead: 1000 }), 300_000);
  assert.equal(await cost({ input: 1000, cacheWrite: 1000 }), 3_750_000);
  assert.equal(
    await cost({ input: 1000, cacheRead: 500, cacheWrite: 300, output: 10 }),
    600_000 + 150_000 + 1_125_000 + 150_000,
  );
  assert.equal((await prices.costOf(SONNET, NONE)).estimated, false);
});

test('costOf() takes the prices of the configuration first, as they are at the call', async () => {
  let rows: readonly PriceRow[] = [{ ...SONNET, input: 1, output: 2, cacheRead: 0.1 }];
  const prices = createPrices(() => rows);
  const usage = { input: 1000, output: 100, cacheRead: 200, cacheWrite: 300 };
  // A cache write without a price of its own costs what input does.
  assert.deepEqual(await prices.costOf(SONNET, usage), {
    nanoUsd: 800_000 + 20_000 + 200_000,
    estimated: false,
  });
  rows = [];
  assert.notEqual((await prices.costOf(SONNET, usage)).nanoUsd, 1_020_000);
});

test('costOf() charges the worst rate of the provider for a model without a price', async () => {
  const prices = createPrices();
  const usage = { input: 1000, output: 1000, cacheRead: 500, cacheWrite: 0 };
  for (const provider of ['anthropic', 'openai', 'google'] as const) {
    const unknown = await prices.costOf({ provider, model: 'no-such-model' }, usage);
    assert.equal(unknown.estimated, true);
    for (const model of ['claude-opus-4-1', 'gpt-5', 'o1-pro', 'gemini-2.5-pro']) {
      const known = await prices.costOf({ provider, model }, usage);
      assert.ok(known.estimated || known.nanoUsd <= unknown.nanoUsd, `${provider} ${model}`);
    }
  }
  const local: ModelId = { provider: 'openai-compatible', model: 'gpt-5' };
  const worst = await prices.costOf({ provider: 'openai', model: 'no-such-model' }, usage);
  assert.deepEqual(await prices.costOf(local, usage), worst);
});

test('costOf() of demo and ollama is nothing, unless the configuration says otherwise', async () => {
  const model: ModelId = { provider: 'ollama', model: 'llama' };
  const usage = { ...NONE, input: 1000 };
  const free = { nanoUsd: 0, estimated: false };
  assert.deepEqual(await createPrices().costOf(model, usage), free);
  assert.deepEqual(await createPrices().costOf({ ...model, provider: 'demo' }, usage), free);
  const priced = createPrices(() => [{ ...model, input: 1, output: 1 }]);
  assert.equal((await priced.costOf(model, usage)).nanoUsd, 1_000_000);
});

test('the price list is not loaded before a price is asked of it', async () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { createPrices } = await import(${JSON.stringify(import.meta.resolve('./price.ts'))});
    const has = () => loaded.some((url) => url.includes('genai-prices'));
    const usage = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0 };
    const prices = createPrices();
    await prices.costOf({ provider: 'demo', model: 'demo' }, usage);
    const before = has();
    await prices.costOf({ provider: 'openai', model: 'gpt-5' }, usage);
    process.stdout.write(JSON.stringify([before, has()]));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  assert.deepEqual(JSON.parse(output), [false, true]);
});
