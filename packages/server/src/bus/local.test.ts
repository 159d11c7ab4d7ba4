import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSqliteStore } from '../store/sqlite/sqlite.ts';
import type { InboundMessage } from '../store/store.ts';
import { makeMessage } from '../store/test/harness.ts';
import type { Delivery } from './bus.ts';
import { createLocalBus } from './local.ts';

const toText = ({ message, redelivered }: Delivery): string =>
  `${message.id}${redelivered ? ' again' : ''}`;

test('consume() gets what an earlier process left first, in order, then what is published', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  await using earlier = createLocalBus({ store });
  for (const id of ['b', 'a']) await earlier.publish(makeMessage(id));

  await using bus = createLocalBus({ store });
  await bus.publish(makeMessage('c'));
  const seen: string[] = [];
  await bus.consume((delivery) => seen.push(toText(delivery)));
  assert.deepEqual(seen, ['b again', 'a again', 'c']);
  await bus.publish(makeMessage('d'));
  assert.deepEqual(seen, ['b again', 'a again', 'c', 'd']);
});

test('publish() delivers once however it meets the start of the consumer', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  await using bus = createLocalBus({ store });
  const seen: string[] = [];
  const publish = async (id: string): Promise<unknown> => bus.publish(makeMessage(id));
  await Promise.all([
    publish('1'),
    publish('2'),
    bus.consume((delivery) => seen.push(toText(delivery))),
    publish('3'),
    publish('3'),
  ]);
  assert.deepEqual(seen.toSorted(), ['1', '2', '3']);
});

test('a message that was stored when the consumer began is delivered once, as new', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  const gate = Promise.withResolvers<void>();
  const slow = {
    ...store,
    putInbox: async (message: InboundMessage) => {
      const isNew = await store.putInbox(message);
      await gate.promise;
      return isNew;
    },
  };
  await using bus = createLocalBus({ store: slow });
  const published = [bus.publish(makeMessage('a')), bus.publish(makeMessage('a'))];
  const seen: string[] = [];
  await bus.consume((delivery) => seen.push(toText(delivery)));
  gate.resolve();
  assert.deepEqual(await Promise.all(published), ['accepted', 'duplicate']);
  assert.deepEqual(seen, ['a']);
});

test('a message that is stored while the inbox is being read is not forgotten', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  const gate = Promise.withResolvers<void>();
  const slow = {
    ...store,
    listInbox: async () => {
      const left = await store.listInbox();
      await gate.promise;
      return left;
    },
  };
  await using bus = createLocalBus({ store: slow });
  const seen: string[] = [];
  const consuming = bus.consume((delivery) => seen.push(toText(delivery)));
  await bus.publish(makeMessage('a'));
  assert.deepEqual(seen, []);
  gate.resolve();
  await consuming;
  assert.deepEqual(seen, ['a']);
});

test('a repeat before the consumer began does not make a message an old one', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  await using bus = createLocalBus({ store });
  for (const id of ['a', 'a']) await bus.publish(makeMessage(id));
  const seen: string[] = [];
  await bus.consume((delivery) => seen.push(toText(delivery)));
  assert.deepEqual(seen, ['a']);
});

test('a message that waits or runs is a duplicate; acknowledged, it goes with the next write', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  await using bus = createLocalBus({ store });
  const deliveries: Delivery[] = [];
  await bus.consume((delivery) => deliveries.push(delivery));
  assert.equal(await bus.publish(makeMessage('a')), 'accepted');
  assert.equal(await bus.publish(makeMessage('a')), 'duplicate');
  assert.equal(deliveries.length, 1);
  await deliveries[0]?.ack();
  await deliveries[0]?.ack();
  await bus.publish(makeMessage('b'));
  assert.deepEqual(
    (await store.listInbox()).map(({ id }) => id),
    ['b'],
  );
  await deliveries[1]?.ack();
  await bus[Symbol.asyncDispose]();
  assert.deepEqual(await store.listInbox(), []);
});

test('publish() fails when the message could not be stored, and delivers nothing', async () => {
  const store = await openSqliteStore({ path: ':memory:' });
  const bus = createLocalBus({ store });
  const seen: string[] = [];
  await bus.consume((delivery) => seen.push(toText(delivery)));
  await store[Symbol.asyncDispose]();
  await assert.rejects(bus.publish(makeMessage('a')), { code: 'store_error' });
  assert.deepEqual(seen, []);
});

test('a bus takes one consumer, and nothing after it was closed', async () => {
  await using store = await openSqliteStore({ path: ':memory:' });
  const bus = createLocalBus({ store });
  assert.deepEqual(bus.describe(), { kind: 'local' });
  const seen: string[] = [];
  await bus.consume((delivery) => seen.push(toText(delivery)));
  await assert.rejects(
    bus.consume(() => undefined),
    TypeError,
  );
  const onTheWay = bus.publish(makeMessage('a'));
  await bus[Symbol.asyncDispose]();
  await assert.rejects(bus.publish(makeMessage('b')), { code: 'shutting_down' });
  // It is safe, and the next process delivers it.
  assert.equal(await onTheWay, 'accepted');
  assert.deepEqual(seen, []);
  assert.equal((await store.listInbox()).length, 1);
});
