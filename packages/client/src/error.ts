/** The one error a client throws: what the gateway said, or what became of the connection. */
import type { ErrorCode } from '@exoclaw/protocol';

export type ClientErrorCode =
  | ErrorCode
  /** No gateway answers at this address. */
  | 'unreachable'
  /** The connection went away before the answer came; whether the call took effect is unknown. */
  | 'connection_lost'
  /** `close()` was called. */
  | 'closed'
  /** Events came faster than they were read. */
  | 'overflow';

export class ExoclawClientError extends Error {
  override readonly name = 'ExoclawClientError';
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
