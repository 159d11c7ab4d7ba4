import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, toError, toFinish } from '../../test/llm-events.ts';
import {
  createScriptedProvider,
  toErrorEvent,
  toFinishEvent,
  toTextEvent,
} from '../../test/scripted-provider.ts';
import { withFallback } from './fallback.ts';
import type { ModelId } from './provider.ts';

const FINE = [toTextEvent('Hi'), toFinishEvent('Hi')];

test('withFallback() uses the second provider when the first fails before its first token', async () => {
  for (const failure of [{}, { retryable: false }, { code: 'no_api_key' as const }]) {
    const second = createScriptedProvider([FINE]);
    const first = createScriptedProvider([[toErrorEvent(failure)]]);
    toFinish(await collect(withFallback(first, second)));
    assert.equal(second.calls, 1);
  }
});

test('withFallback() leaves a working first provider alone', async () => {
  const second = createScriptedProvider([FINE]);
  toFinish(await collect(withFallback(createScriptedProvider([FINE]), second)));
  assert.equal(second.calls, 0);
});

test('withFallback() does not continue a half answer with another model', async () => {
  const second = createScriptedProvider([FINE]);
  const first = createScriptedProvider([[toTextEvent('Half'), toErrorEvent()]]);
  toError(await collect(withFallback(first, second)));
  assert.equal(second.calls, 0);
});

test('withFallback() does not fall back when a person aborts', async () => {
  const second = createScriptedProvider([FINE]);
  const first = createScriptedProvider([[toErrorEvent({ code: 'aborted' })]]);
  assert.equal(toError(await collect(withFallback(first, second))).error.code, 'aborted');
  assert.equal(second.calls, 0);
});

test('withFallback() tells of both failures', async () => {
  const first = createScriptedProvider([[toErrorEvent()]]);
  const model: ModelId = { provider: 'openai', model: 'other' };
  const refused = { ...toErrorEvent({ message: 'provider error: 401 No' }), model };
  const second = createScriptedProvider([[refused]]);
  const event = toError(await collect(withFallback(first, second)));
  assert.deepEqual(event.model, model);
  assert.equal(
    event.error.message,
    'provider error: connection refused; fallback openai/other: provider error: 401 No',
  );
});
