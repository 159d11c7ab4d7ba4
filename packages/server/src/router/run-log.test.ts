import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunEvent } from '../agent/events.ts';
import { RunLog } from './run-log.ts';
import { Watchers } from './watchers.ts';

const START: RunEvent = { type: 'run-start', content: 'hi', attempt: 1 };
const END: RunEvent = { type: 'run-end', stopReason: 'stop' };

function text(value: string): RunEvent {
  return { type: 'text-delta', text: value };
}

async function collect(log: RunLog, after = 0): Promise<readonly (readonly [number, string])[]> {
  const { signal } = new AbortController();
  const seen: [number, string][] = [];
  for await (const { seq, event } of log.follow({ after, signal })) {
    seen.push([seq, event.type === 'text-delta' ? event.text : event.type]);
  }
  return seen;
}

test('listeners hear past and live events once each, in order, from wherever they join', async () => {
  const log = new RunLog();
  log.append(START);
  log.append(text('a'));
  const early = collect(log);
  const resumed = collect(log, 2);
  log.append(text('b'));
  log.append(END);
  const late = collect(log);
  const all = [
    [1, 'run-start'],
    [2, 'a'],
    [3, 'b'],
    [4, 'run-end'],
  ];
  assert.deepEqual(await early, all);
  assert.deepEqual(await late, all);
  assert.deepEqual(await resumed, all.slice(2));
});

test('a listener that is aborted stops waiting', async () => {
  const log = new RunLog();
  const controller = new AbortController();
  const follow = log.follow({ signal: controller.signal });
  const next = follow.next();
  controller.abort();
  assert.deepEqual(await next, { done: true, value: undefined });
});

test('a watcher hears the running run from its start, then every later run', async () => {
  const watchers = new Watchers();
  const controller = new AbortController();
  const first = new RunLog();
  first.append(START);
  const stream = watchers.watch('s', { runId: 'r1', log: first }, controller);
  const seen: string[] = [];
  const done = (async () => {
    for await (const { runId, event } of stream) {
      seen.push(`${runId}:${event.type}`);
      if (runId === 'r2' && event.type === 'run-end') controller.abort();
    }
  })();
  await new Promise(setImmediate);
  const second = new RunLog();
  watchers.announce('s', { runId: 'r2', log: second });
  watchers.announce('other', { runId: 'r3', log: second });
  first.append(END);
  second.append(START);
  second.append(END);
  await done;
  assert.deepEqual(seen, ['r1:run-start', 'r1:run-end', 'r2:run-start', 'r2:run-end']);
});
