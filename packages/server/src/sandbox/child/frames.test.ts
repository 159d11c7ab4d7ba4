import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodeHeader, FrameError, FrameReader, type Frame } from './frames.ts';
import { decodePacket, encodePacket } from './packet.ts';

const LIMITS = { metaBytes: 1_000, parts: 8 };

const frame: fc.Arbitrary<Frame> = fc.record({
  type: fc.nat(255),
  flags: fc.nat(255),
  callId: fc.nat(0xffff_ffff),
  aux: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  body: fc.uint8Array({ maxLength: 64 }),
});

/** Plain bytes: fast-check and Buffer make views of other prototypes. */
function plain(item: Frame): Frame {
  return { ...item, body: Uint8Array.from(item.body) };
}

test('FrameReader gives back the frames of a stream, however it is cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (frames, sizes) => {
        const stream = Buffer.concat(
          frames.flatMap((item) => [encodeHeader(item, item.body.length), item.body]),
        );
        const reader = new FrameReader(64);
        const read: Frame[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          read.push(...reader.push(stream.subarray(at, at + size)));
          at += size;
        }
        assert.deepEqual(read.map(plain), frames.map(plain));
      },
    ),
  );
});

test('FrameReader refuses a body over the limit before it takes memory for it', () => {
  const header = encodeHeader({ type: 1, flags: 0, callId: 1, aux: 0 }, 0xffff_ffff);
  assert.throws(() => [...new FrameReader(64).push(header)], FrameError);
});

test('FrameReader refuses a header whose reserved field is used', () => {
  const header = encodeHeader({ type: 1, flags: 0, callId: 1, aux: 0 }, 0);
  header[6] = 1;
  assert.throws(() => [...new FrameReader(64).push(header)], FrameError);
});

test('FrameReader answers any bytes with frames or a FrameError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const reader = new FrameReader(128);
      try {
        for (const item of reader.push(bytes)) assert.ok(item.body.length <= 128);
      } catch (error) {
        assert.ok(error instanceof FrameError);
      }
    }),
  );
});

test('decodePacket() gives back what encodePacket() was given', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), { maxKeys: 5 }),
      fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 }),
      (meta, parts) => {
        const packet = decodePacket(Buffer.concat(encodePacket(meta, parts)), LIMITS);
        assert.deepEqual(packet.meta, JSON.parse(JSON.stringify(meta)));
        assert.deepEqual(
          packet.parts.map((part) => Uint8Array.from(part)),
          parts.map((part) => Uint8Array.from(part)),
        );
      },
    ),
  );
});

test('decodePacket() answers any bytes with a packet or an error, inside its limits', () => {
  const seed = Buffer.concat(encodePacket({ a: 1 }, [Buffer.from('abc'), Buffer.from('d')]));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const bytes = Buffer.from(seed);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      try {
        assert.ok(decodePacket(bytes, LIMITS).parts.length <= LIMITS.parts);
      } catch (error) {
        assert.ok(
          error instanceof RangeError || error instanceof SyntaxError || error instanceof TypeError,
        );
      }
    }),
  );
  assert.throws(() => decodePacket(new Uint8Array(3), LIMITS), RangeError);
  const many = Buffer.concat(
    encodePacket(
      {},
      Array.from({ length: 9 }, () => new Uint8Array(0)),
    ),
  );
  assert.throws(() => decodePacket(many, LIMITS), /Too many parts/);
  const tail = Buffer.concat([...encodePacket({}, []), Buffer.from('x')]);
  assert.throws(() => decodePacket(tail, LIMITS), /after the last part/);
});
