import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toEventFrame, type StreamEvent } from '@exoclaw/protocol';
import * as fc from 'fast-check';
import { Stream } from './stream.ts';

function open(dialect: 'plain' | 'jsonrpc', id: string | number | null | undefined) {
  const frames: string[] = [];
  const outlet = { send: (frame: string) => frames.push(frame), settle: () => undefined };
  const stream = new Stream({ dialect, id }, outlet);
  stream.open();
  return { stream, frames };
}

const events: fc.Arbitrary<StreamEvent> = fc.oneof(
  fc.record({ event: fc.constant('text' as const), data: fc.string({ unit: 'binary' }) }),
  fc.record({
    event: fc.constant('error' as const),
    data: fc.string(),
    code: fc.constant('internal' as const),
    seq: fc.nat(),
  }),
  fc.record({ event: fc.constant('done' as const), seq: fc.nat() }),
);

test('emit() writes the frame that toEventFrame() describes', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('plain' as const, 'jsonrpc' as const),
      fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant(null)),
      events,
      (dialect, id, event) => {
        const { stream, frames } = open(dialect, id);
        stream.emit(event);
        const expected = JSON.stringify(toEventFrame({ dialect, id }, event));
        assert.deepEqual(JSON.parse(frames[0] ?? ''), JSON.parse(expected));
      },
    ),
  );
});

test('exactly one done is the last event, however often the stream is ended', () => {
  const { stream, frames } = open('plain', 1);
  stream.emit({ event: 'text', data: 'a' });
  stream.end();
  stream.end();
  stream.emit({ event: 'text', data: 'b' });
  stream.emit({ event: 'done' });
  assert.deepEqual(
    frames.map((frame) => (JSON.parse(frame) as { event: string }).event),
    ['text', 'done'],
  );
});

test('nothing is sent before open(), nor ever for a notification', () => {
  const frames: string[] = [];
  const outlet = { send: (frame: string) => frames.push(frame), settle: () => undefined };
  new Stream({ dialect: 'plain', id: 1 }, outlet).emit({ event: 'text', data: 'a' });
  const silent = open('jsonrpc', undefined);
  silent.stream.emit({ event: 'text', data: 'a' });
  silent.stream.end();
  assert.deepEqual([...frames, ...silent.frames], []);
});
