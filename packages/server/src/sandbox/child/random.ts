/**
 * A stream of random bytes made from a 32-byte seed: the ChaCha20 block function (RFC 8439 section
 * 2.3) with a zero nonce. The host chooses the seed for each call, so that the child needs no
 * source of randomness of its own and a call can be run again with the same bytes.
 */
const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;
const BLOCK_BYTES = 64;

export class RandomStream {
  readonly #state = new Uint32Array(16);
  readonly #words = new Uint32Array(16);
  readonly #block = new DataView(new ArrayBuffer(BLOCK_BYTES));
  #used = BLOCK_BYTES;

  /** @param seed 32 bytes. */
  constructor(seed: Uint8Array) {
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength);
    this.#state.set(CONSTANTS);
    for (let index = 0; index < 8; index += 1) {
      this.#state[4 + index] = view.getUint32(4 * index, true);
    }
  }

  /** The next bytes of the stream. */
  readInto(target: Uint8Array): void {
    for (let index = 0; index < target.length; index += 1) {
      if (this.#used === BLOCK_BYTES) this.#nextBlock();
      target[index] = this.#block.getUint8(this.#used);
      this.#used += 1;
    }
  }

  #nextBlock(): void {
    const words = this.#words;
    words.set(this.#state);
    for (let round = 0; round < 10; round += 1) {
      quarterRound(words, 0, 4, 8, 12);
      quarterRound(words, 1, 5, 9, 13);
      quarterRound(words, 2, 6, 10, 14);
      quarterRound(words, 3, 7, 11, 15);
      quarterRound(words, 0, 5, 10, 15);
      quarterRound(words, 1, 6, 11, 12);
      quarterRound(words, 2, 7, 8, 13);
      quarterRound(words, 3, 4, 9, 14);
    }
    for (let index = 0; index < 16; index += 1) {
      this.#block.setUint32(4 * index, (words[index] ?? 0) + (this.#state[index] ?? 0), true);
    }
    this.#state[12] = (this.#state[12] ?? 0) + 1;
    this.#used = 0;
  }
}

function quarterRound(words: Uint32Array, a: number, b: number, c: number, d: number): void {
  mix(words, a, b, d, 16);
  mix(words, c, d, b, 12);
  mix(words, a, b, d, 8);
  mix(words, c, d, b, 7);
}

/** `to += add; turn = rotate(turn ^ to, bits)`. */
function mix(words: Uint32Array, to: number, add: number, turn: number, bits: number): void {
  const sum = ((words[to] ?? 0) + (words[add] ?? 0)) >>> 0;
  const value = (words[turn] ?? 0) ^ sum;
  words[to] = sum;
  words[turn] = (value << bits) | (value >>> (32 - bits));
}
