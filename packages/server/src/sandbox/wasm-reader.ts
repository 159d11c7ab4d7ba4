/**
 * Reads the binary format of WebAssembly byte by byte and believes none of it: every length is
 * checked against what is there, every number against its width, every text against UTF-8.
 */
import { SandboxLoadError } from './plugin.ts';
import { escapeText } from './text.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Refuses a module. The sentence names what is wrong and, where there is one, the limit. */
export function refuse(sentence: string): never {
  throw new SandboxLoadError('plugin_rejected', sentence);
}

/** A name out of a module, ready for a sentence. */
export function quoteName(...parts: readonly string[]): string {
  return `"${parts.map((part) => escapeText(part, 128)).join('.')}"`;
}

export class WasmReader {
  readonly bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** @param what Names the part being read in the sentences of its errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.bytes = bytes;
    this.#what = what;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at === this.bytes.length;
  }

  u8(): number {
    const byte = this.bytes[this.#at];
    if (byte === undefined) this.#truncated();
    this.#at += 1;
    return byte;
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let index = 0; index < 5; index += 1) {
      const byte = this.u8();
      if (index === 4 && byte > 0x0f) break;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    return refuse(`Module is malformed: a number in the ${this.#what} does not fit 32 bits`);
  }

  /** A count of things, each of which takes a byte or more. */
  count(limit: number, things: string): number {
    const count = this.u32();
    if (count > limit) refuse(`Module has ${count} ${things}; at most ${limit} are allowed`);
    if (count > this.bytes.length - this.#at) this.#truncated();
    return count;
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.#at) this.#truncated();
    const part = this.bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }

  name(limit: number): string {
    const length = this.u32();
    if (length > limit)
      refuse(`Module has a name of ${length} bytes; at most ${limit} are allowed`);
    const bytes = this.take(length);
    try {
      return decoder.decode(bytes);
    } catch (error) {
      throw new SandboxLoadError(
        'plugin_rejected',
        `Module is malformed: a name in the ${this.#what} is not UTF-8`,
        { cause: error },
      );
    }
  }

  expectEnd(): void {
    if (!this.isAtEnd) refuse(`Module is malformed: the ${this.#what} has bytes after its end`);
  }

  #truncated(): never {
    refuse(`Module is malformed: the ${this.#what} ends too early`);
  }
}

/** An unsigned LEB128 number in its shortest form. */
export function encodeU32(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}
