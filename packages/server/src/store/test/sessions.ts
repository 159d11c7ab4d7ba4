/** Sessions and their history. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DAY_MS, SESSION, answer, makeCommit, makeMessage, type OpenStore } from './harness.ts';

export function testSessions(open: OpenStore): void {
  test('getSession() knows who began it, when it changed and how long it is', async () => {
    await using opened = await open();
    const { store } = opened;
    assert.equal(await store.getSession(SESSION), undefined);
    const message = makeMessage('m1');
    await store.beginRun(message, 1, DAY_MS);
    await store.commitRun(makeCommit('m1', 1, { atMs: DAY_MS + 7 }));
    assert.deepEqual(await (await opened.reopen()).getSession(SESSION), {
      key: SESSION,
      agentId: 'main',
      address: message.address,
      title: undefined,
      createdAtMs: DAY_MS,
      updatedAtMs: DAY_MS + 7,
      messageCount: 2,
    });
  });

  test('listSessions() is newest first, paged by time, and can be of one agent', async () => {
    await using opened = await open();
    const { store } = opened;
    for (let n = 0; n < 6; n += 1) {
      const agentId = n % 2 === 0 ? 'even' : 'odd';
      const message = makeMessage(`m${n}`, { sessionKey: `s${n}`, agentId });
      await answer(store, message, 1, DAY_MS + n);
    }
    const list = async (...args: Parameters<typeof store.listSessions>): Promise<string> =>
      (await store.listSessions(...args)).map(({ key }) => key).join(' ');
    assert.equal(await list({ limit: 4 }), 's5 s4 s3 s2');
    assert.equal(await list({ limit: 4, before: DAY_MS + 2 }), 's1 s0');
    assert.equal(await list({ limit: 2, agentId: 'odd' }), 's5 s3');
    assert.equal(await list({ limit: 2, agentId: 'odd', before: DAY_MS + 3 }), 's1');
    await answer(store, makeMessage('again', { sessionKey: 's0' }), 1, DAY_MS + 50);
    assert.equal(await list({ limit: 2 }), 's0 s5');
  });

  test('renameSession() keeps the title, and says when there is no such session', async () => {
    await using opened = await open();
    await answer(opened.store, makeMessage('m1'), 1);
    assert.equal(await opened.store.renameSession(SESSION, 'Trip'), true);
    assert.equal(await opened.store.renameSession('nobody', 'Trip'), false);
    await answer(opened.store, makeMessage('m2'), 1);
    assert.equal((await (await opened.reopen()).getSession(SESSION))?.title, 'Trip');
  });

  test('readMessages() pages backwards without a gap, oldest first in a page', async () => {
    await using opened = await open();
    const { store } = opened;
    for (let n = 1; n <= 5; n += 1) {
      await answer(store, makeMessage(`m${n}`), 1);
      await answer(store, makeMessage(`x${n}`, { sessionKey: 'other' }), 1);
    }
    const seqs = async (beforeSeq?: number): Promise<readonly number[]> => {
      const options = beforeSeq === undefined ? { limit: 4 } : { limit: 4, beforeSeq };
      return (await store.readMessages(SESSION, options)).map(({ seq }) => seq);
    };
    assert.deepEqual(await seqs(), [7, 8, 9, 10]);
    assert.deepEqual(await seqs(7), [3, 4, 5, 6]);
    assert.deepEqual(await seqs(3), [1, 2]);
    assert.deepEqual(await seqs(1), []);
    assert.deepEqual(
      (await store.readRun('m2')).map(({ seq, message }) => [seq, message.role]),
      [
        [3, 'user'],
        [4, 'assistant'],
      ],
    );
  });

  test('clearSession() forgets ended runs and starts the numbers anew', async () => {
    await using opened = await open();
    const { store } = opened;
    await store.beginRun(makeMessage('m1'), 1, DAY_MS);
    await store.journalStep('m1', 1, { kind: 'intent', toolCallId: 'call_0' });
    await store.commitRun(makeCommit('m1', 1));
    await answer(store, makeMessage('m2'), 1);
    await answer(store, makeMessage('x', { sessionKey: 'other' }), 1);
    assert.equal(await store.clearSession(SESSION), 4);
    assert.equal(await store.clearSession(SESSION), 0);
    assert.equal(await store.clearSession('nobody'), 0);
    assert.equal(await store.getRun('m1'), undefined);
    assert.equal((await store.getSession(SESSION))?.messageCount, 0);
    assert.equal((await store.readMessages('other', { limit: 9 })).length, 2);
    assert.equal((await store.beginRun(makeMessage('m3'), 1, DAY_MS)).kind, 'new');
    assert.deepEqual(
      (await store.readMessages(SESSION, { limit: 9 })).map(({ seq, runId }) => [seq, runId]),
      [[1, 'm3']],
    );
  });

  test('clearSession() leaves a run that is going on with its question', async () => {
    await using opened = await open();
    const { store } = opened;
    await answer(store, makeMessage('m1'), 1);
    await store.beginRun(makeMessage('m2'), 1, DAY_MS);
    assert.equal(await store.clearSession(SESSION), 2);
    assert.equal(await store.commitRun(makeCommit('m2', 1)), 'committed');
    assert.deepEqual(
      (await store.readMessages(SESSION, { limit: 9 })).map(({ seq, runId, message }) => [
        seq,
        runId,
        message.role,
      ]),
      [
        [1, 'm2', 'user'],
        [2, 'm2', 'assistant'],
      ],
    );
  });
}
