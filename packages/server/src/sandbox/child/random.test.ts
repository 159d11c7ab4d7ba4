import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RandomStream } from './random.ts';

test('RandomStream is the ChaCha20 key stream of its seed (RFC 8439 appendix A.1)', () => {
  const bytes = new Uint8Array(128);
  new RandomStream(new Uint8Array(32)).readInto(bytes);
  assert.equal(
    Buffer.from(bytes).toString('hex'),
    '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7' +
      'da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586' +
      '9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed' +
      '29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f',
  );
});

test('RandomStream goes on where it stopped', () => {
  const seed = Uint8Array.from({ length: 32 }, (_, index) => index);
  const whole = new Uint8Array(100);
  new RandomStream(seed).readInto(whole);
  const stream = new RandomStream(seed);
  const parts = [new Uint8Array(1), new Uint8Array(70), new Uint8Array(29)];
  for (const part of parts) stream.readInto(part);
  assert.deepEqual(new Uint8Array(Buffer.concat(parts)), whole);
});
