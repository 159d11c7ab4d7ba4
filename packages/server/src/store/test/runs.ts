/** The turn protocol: idempotency, fencing, what is left after a process was cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, RunStep } from '../store.ts';
import { DAY_MS, SESSION, answer, makeCommit, makeMessage, type OpenStore } from './harness.ts';

const STEPS: readonly RunStep[] = [
  {
    kind: 'answer',
    message: {
      role: 'assistant',
      content: [
        { type: 'thinking', text: 'hm', metadata: { anthropic: { signature: 'abc' } } },
        { type: 'tool-call', id: 'call_0', name: 'echo', input: { text: 'hi', list: [1, null] } },
      ],
    },
  },
  { kind: 'intent', toolCallId: 'call_0' },
  {
    kind: 'result',
    message: {
      role: 'tool-result',
      toolCallId: 'call_0',
      name: 'echo',
      content: 'hi',
      isError: false,
    },
  },
];

export function testRuns(open: OpenStore): void {
  test('nextEpoch() is higher each time, also across a reopen', async () => {
    await using opened = await open();
    const epochs = [await opened.store.nextEpoch(), await opened.store.nextEpoch()];
    epochs.push(await (await opened.reopen()).nextEpoch());
    assert.deepEqual(
      epochs,
      [...new Set(epochs)].sort((a, b) => a - b),
    );
  });

  test('beginRun() puts the question into history once', async () => {
    await using opened = await open();
    const { store } = opened;
    const message = makeMessage('m1', { acceptedAtMs: DAY_MS - 5 });
    assert.deepEqual(await store.beginRun(message, 1, DAY_MS), { kind: 'new' });
    assert.deepEqual(await store.beginRun(message, 1, DAY_MS + 9), {
      kind: 'retry',
      attempts: 2,
      steps: [],
    });
    assert.deepEqual(await store.readMessages(SESSION, { limit: 10 }), [
      {
        seq: 1,
        runId: 'm1',
        atMs: DAY_MS - 5,
        message: { role: 'user', content: 'question m1' },
      },
    ]);
    assert.deepEqual(await store.getRun('m1'), {
      id: 'm1',
      sessionKey: SESSION,
      agentId: 'main',
      state: 'started',
      attempts: 2,
      startedAtMs: DAY_MS,
      endedAtMs: undefined,
      error: undefined,
    });
  });

  test('beginRun() refuses an id that another session has used', async () => {
    await using opened = await open();
    await opened.store.beginRun(makeMessage('m1'), 1, DAY_MS);
    const stolen = makeMessage('m1', { sessionKey: 'main:test:default:eve' });
    await assert.rejects(opened.store.beginRun(stolen, 1, DAY_MS), { code: 'store_error' });
    assert.equal(await opened.store.getSession('main:test:default:eve'), undefined);
  });

  test('a cut run begins again with its journal and one attempt more', async () => {
    await using opened = await open();
    await opened.store.beginRun(makeMessage('m1'), 1, DAY_MS);
    for (const step of STEPS) await opened.store.journalStep('m1', 1, step);
    const store = await opened.reopen();
    assert.deepEqual(await store.beginRun(makeMessage('m1'), 2, DAY_MS + 5), {
      kind: 'retry',
      attempts: 2,
      steps: STEPS,
    });
    assert.equal(await store.commitRun(makeCommit('m1', 2)), 'committed');
  });

  test('journalStep() ignores a step said twice, and keeps call ids that a later answer reuses', async () => {
    await using opened = await open();
    const { store } = opened;
    await store.beginRun(makeMessage('m1'), 1, DAY_MS);
    const twice = [...STEPS, ...STEPS];
    for (const step of twice) {
      await store.journalStep('m1', 1, step);
      await store.journalStep('m1', 1, step);
    }
    const begun = await store.beginRun(makeMessage('m1'), 1, DAY_MS);
    assert.deepEqual(begun, { kind: 'retry', attempts: 2, steps: twice });
  });

  test('journalStep() refuses a run that is unknown, ended or taken over', async () => {
    await using opened = await open();
    const { store } = opened;
    const step: RunStep = { kind: 'intent', toolCallId: 't' };
    await assert.rejects(store.journalStep('m1', 1, step), { code: 'store_error' });
    await store.beginRun(makeMessage('m1'), 1, DAY_MS);
    await store.beginRun(makeMessage('m1'), 2, DAY_MS);
    await assert.rejects(store.journalStep('m1', 1, step), { code: 'store_error' });
    await store.commitRun(makeCommit('m1', 2));
    await assert.rejects(store.journalStep('m1', 2, step), { code: 'store_error' });
  });

  test('commitRun() appends after the question, ends the run, and does so once', async () => {
    await using opened = await open();
    const { store } = opened;
    const messages: readonly Message[] = [
      ...STEPS.flatMap((step) => (step.kind === 'intent' ? [] : [step.message])),
      { role: 'assistant', content: [{ type: 'text', text: 'partly' }], stopped: 'error' },
    ];
    const error = { code: 'provider_error', message: 'provider error: connection refused' };
    const commit = makeCommit('m1', 1, { state: 'failed', messages, error });
    await store.beginRun(makeMessage('m1'), 1, DAY_MS);
    assert.equal(await store.commitRun(commit), 'committed');
    assert.equal(await store.commitRun(commit), 'duplicate');

    const stored = await store.readRun('m1');
    assert.deepEqual(
      stored.map(({ seq, message }) => ({ seq, message })),
      [{ role: 'user', content: 'question m1' } as const, ...messages].map((message, index) => ({
        seq: index + 1,
        message,
      })),
    );
    const run = await store.getRun('m1');
    assert.deepEqual([run?.state, run?.endedAtMs, run?.error], ['failed', DAY_MS + 1, error]);
    assert.deepEqual(await store.beginRun(makeMessage('m1'), 1, DAY_MS + 9), {
      kind: 'ended',
      run,
    });
  });

  test('commitRun() refuses a run that was never begun', async () => {
    await using opened = await open();
    await assert.rejects(opened.store.commitRun(makeCommit('m1', 1)), { code: 'store_error' });
  });

  test('an owner with a lower epoch is fenced out of the session', async () => {
    await using opened = await open();
    const { store } = opened;
    await store.beginRun(makeMessage('m1'), 5, DAY_MS);
    assert.equal((await store.beginRun(makeMessage('m1'), 6, DAY_MS)).kind, 'retry');
    assert.equal(await store.commitRun(makeCommit('m1', 5)), 'fenced');
    assert.deepEqual(await store.beginRun(makeMessage('m2'), 5, DAY_MS), {
      kind: 'fenced',
      epoch: 6,
    });
    assert.equal((await store.readMessages(SESSION, { limit: 10 })).length, 1);
    assert.equal(await store.commitRun(makeCommit('m1', 6)), 'committed');
    assert.equal(await store.commitRun(makeCommit('m1', 5)), 'fenced');
  });

  test('the epoch of a session outlives its runs and a reopen', async () => {
    await using opened = await open();
    await answer(opened.store, makeMessage('m1'), 9);
    await opened.store.clearSession(SESSION);
    const store = await opened.reopen();
    assert.deepEqual(await store.beginRun(makeMessage('m2'), 8, DAY_MS), {
      kind: 'fenced',
      epoch: 9,
    });
    const elsewhere = makeMessage('m2', { sessionKey: 'another' });
    assert.equal((await store.beginRun(elsewhere, 8, DAY_MS)).kind, 'new');
  });
}
