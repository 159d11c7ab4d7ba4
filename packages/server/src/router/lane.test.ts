import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lanes } from './lane.ts';

/** Jobs that end when told to, and a record of what ran. */
function createJobs() {
  const events: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  return {
    events,
    job: (name: string) => async () => {
      events.push(`+${name}`);
      const gate = Promise.withResolvers<void>();
      gates.set(name, gate);
      await gate.promise;
      events.push(`-${name}`);
    },
    async end(name: string) {
      gates.get(name)?.resolve();
      await new Promise(setImmediate);
    },
  };
}

test('a lane runs its jobs one at a time and in order', async () => {
  const { events, job, end } = createJobs();
  const lanes = new Lanes({ maxQueued: 8, maxRunning: 8 });
  lanes.add('a', job('1'));
  lanes.add('a', job('2'));
  lanes.add('a', job('3'));
  assert.deepEqual(events, ['+1']);
  await end('1');
  await end('2');
  await end('3');
  assert.deepEqual(events, ['+1', '-1', '+2', '-2', '+3', '-3']);
});

test('lanes of different sessions run side by side, up to the cap', async () => {
  const { events, job, end } = createJobs();
  const lanes = new Lanes({ maxQueued: 8, maxRunning: 2 });
  for (const key of ['a', 'b', 'c']) lanes.add(key, job(key));
  assert.deepEqual(events, ['+a', '+b']);
  await end('b');
  assert.deepEqual(events, ['+a', '+b', '-b', '+c']);
});

test('a full lane refuses with session_busy, while others have room', () => {
  const { job } = createJobs();
  const lanes = new Lanes({ maxQueued: 2, maxRunning: 8 });
  for (const name of ['running', 'first', 'second']) lanes.add('a', job(name));
  assert.throws(() => lanes.assertRoom('a'), { code: 'session_busy' });
  assert.doesNotThrow(() => lanes.assertRoom('b'));
});

test('stop() lets running jobs end and starts no waiting one', async () => {
  const { events, job, end } = createJobs();
  const lanes = new Lanes({ maxQueued: 8, maxRunning: 8 });
  lanes.add('a', job('1'));
  lanes.add('a', job('2'));
  const stopped = lanes.stop();
  await end('1');
  await stopped;
  assert.deepEqual(events, ['+1', '-1']);
  assert.equal(lanes.size, 1);
});
