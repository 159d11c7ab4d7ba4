/**
 * The body of a structured frame: a small JSON value and any number of byte strings that belong to
 * it. Layout, little endian: u32 length of the JSON, the JSON, u32 number of parts, one u32 length
 * for each, the parts. Decoding copies nothing and believes no length.
 */

interface Packet {
  /** Parsed, not checked. */
  readonly meta: unknown;
  readonly parts: readonly Uint8Array[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The packet as a list of chunks, to be written one after the other without joining them. */
export function encodePacket(meta: unknown, parts: readonly Uint8Array[]): Uint8Array[] {
  const json = encoder.encode(JSON.stringify(meta));
  const head = new Uint8Array(8 + json.length + 4 * parts.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, json.length, true);
  head.set(json, 4);
  view.setUint32(4 + json.length, parts.length, true);
  for (const [index, part] of parts.entries()) {
    view.setUint32(8 + json.length + 4 * index, part.length, true);
  }
  return [head, ...parts];
}

/**
 * @param limits Largest JSON in bytes and largest number of parts.
 * @throws {RangeError} when a length lies.
 * @throws {SyntaxError | TypeError} when the JSON is not JSON or not UTF-8.
 */
export function decodePacket(
  body: Uint8Array,
  limits: { readonly metaBytes: number; readonly parts: number },
): Packet {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const metaBytes = view.getUint32(0, true);
  if (metaBytes > limits.metaBytes || metaBytes > body.length - 8) {
    throw new RangeError('Length of the JSON is out of range');
  }
  const count = view.getUint32(4 + metaBytes, true);
  let at = 8 + metaBytes + 4 * count;
  if (count > limits.parts || at > body.length) throw new RangeError('Too many parts');
  const parts: Uint8Array[] = [];
  for (let index = 0; index < count; index += 1) {
    const length = view.getUint32(8 + metaBytes + 4 * index, true);
    if (length > body.length - at) throw new RangeError('Length of a part is out of range');
    parts.push(body.subarray(at, at + length));
    at += length;
  }
  if (at !== body.length) throw new RangeError('Bytes after the last part');
  return { meta: JSON.parse(decoder.decode(body.subarray(4, 4 + metaBytes))), parts };
}

/** Number of bytes of an encoded packet. */
export function packetBytes(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}
