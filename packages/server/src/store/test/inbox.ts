/** The durable queue. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeMessage, type OpenStore } from './harness.ts';

export function testInbox(open: OpenStore): void {
  test('putInbox() keeps messages as they were, in order, across a reopen', async () => {
    await using opened = await open();
    const messages = [
      makeMessage('b'),
      makeMessage('a', {
        content: 'quotes \' " and \0 and \u{1F600}',
        address: {
          channel: 'c',
          account: 'x',
          peer: 'p',
          guild: 'g',
          team: 't',
          roles: ['r1', 'r2'],
        },
      }),
      makeMessage('c'),
    ];
    for (const message of messages) assert.equal(await opened.store.putInbox(message), true);
    assert.deepEqual(await opened.store.listInbox(), messages);
    assert.deepEqual(await (await opened.reopen()).listInbox(), messages);
  });

  test('putInbox() refuses an id that is there and keeps the first message', async () => {
    await using opened = await open();
    await opened.store.putInbox(makeMessage('a', { content: 'first' }));
    assert.equal(await opened.store.putInbox(makeMessage('a', { content: 'second' })), false);
    const [left] = await opened.store.listInbox();
    assert.equal(left?.content, 'first');
  });

  test('removeInbox() forgets a message, and a repeat does nothing', async () => {
    await using opened = await open();
    const { store } = opened;
    await store.putInbox(makeMessage('a'));
    await store.putInbox(makeMessage('b'));
    await store.removeInbox(['a']);
    await store.removeInbox(['a']);
    assert.deepEqual(
      (await store.listInbox()).map(({ id }) => id),
      ['b'],
    );
    assert.equal(await store.putInbox(makeMessage('a')), true);
    assert.deepEqual(
      (await store.listInbox()).map(({ id }) => id),
      ['b', 'a'],
    );
  });
}
