/** Reads the body of an HTTP request as text, up to a limit. */
import type { IncomingMessage } from 'node:http';
import { ExoclawError } from '../lib/error.ts';

/**
 * The whole body.
 * @throws {ExoclawError} too_large as soon as the limit is passed (the declared length counts, too);
 *   invalid_request when it is not UTF-8 or the client went away in the middle.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw toTooLarge(maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // Not destroyed when the loop is left: the answer still has to go out on this socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Buffer;
      size += bytes.length;
      if (size > maxBytes) throw toTooLarge(maxBytes);
      chunks.push(bytes);
    }
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    if (error instanceof ExoclawError) throw error;
    throw new ExoclawError('invalid_request', 'The body is not complete UTF-8 text', {
      cause: error,
    });
  }
}

function toTooLarge(maxBytes: number): ExoclawError {
  return new ExoclawError('too_large', `The body is larger than ${maxBytes} bytes`);
}
