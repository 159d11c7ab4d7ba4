/**
 * Frames between the host and a sandbox process, spoken over file descriptor 3. Each has a header of 16
 * bytes, little endian: u32 body length, u8 type, u8 flags, u16 zero, u32 call id, i32 aux. Every
 * frame to the child is answered by exactly one frame that ends its CPU slice; log frames may come
 * before it. Both sides use this codec; it allocates no more than one body of the given size.
 */

const HEADER_BYTES = 16;

/** Frame types; the direction is in the name of the group. */
export const TO_CHILD = { init: 1, load: 2, call: 3 } as const;
export const FROM_CHILD = {
  ready: 65,
  loaded: 66,
  loadError: 67,
  result: 68,
  guestError: 69,
  log: 70,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly callId: number;
  /** Meaning depends on the type: a module id for `load`, 0 elsewhere. */
  readonly aux: number;
  readonly body: Uint8Array;
}

const EMPTY = new Uint8Array(0);

/** The header of a frame whose body has `bodyBytes` bytes. */
export function encodeHeader(frame: Omit<Frame, 'body'>, bodyBytes: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, bodyBytes, true);
  view.setUint8(4, frame.type);
  view.setUint8(5, frame.flags);
  view.setUint32(8, frame.callId, true);
  view.setInt32(12, frame.aux, true);
  return header;
}

/** Thrown by `FrameReader` for bytes that are no frame; the stream cannot be read any further. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  readonly #maxBodyBytes: number;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #headerBytes = 0;
  #body: Uint8Array = EMPTY;
  #bodyBytes = 0;

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /**
   * Takes the next bytes of the stream and yields the frames they complete. The bytes are copied.
   * @throws {FrameError} when a length is over the limit or the reserved field is not 0.
   */
  *push(chunk: Uint8Array): Generator<Frame, void, void> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerBytes < HEADER_BYTES) {
        const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerBytes);
        this.#header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        at += part.length;
        if (this.#headerBytes < HEADER_BYTES) return;
        this.#startBody();
      }
      const part = chunk.subarray(at, at + this.#body.length - this.#bodyBytes);
      this.#body.set(part, this.#bodyBytes);
      this.#bodyBytes += part.length;
      at += part.length;
      if (this.#bodyBytes < this.#body.length) return;
      yield this.#takeFrame();
    }
  }

  #startBody(): void {
    const length = this.#view.getUint32(0, true);
    if (length > this.#maxBodyBytes) {
      throw new FrameError(`Frame of ${length} bytes passes the limit of ${this.#maxBodyBytes}`);
    }
    if (this.#view.getUint16(6, true) !== 0) throw new FrameError('Reserved field is not 0');
    this.#body = length === 0 ? EMPTY : new Uint8Array(length);
    this.#bodyBytes = 0;
  }

  #takeFrame(): Frame {
    const frame: Frame = {
      type: this.#view.getUint8(4),
      flags: this.#view.getUint8(5),
      callId: this.#view.getUint32(8, true),
      aux: this.#view.getInt32(12, true),
      body: this.#body,
    };
    this.#headerBytes = 0;
    this.#body = EMPTY;
    return frame;
  }
}
