/**
 * The one error type of the runtime. Its `message` and `data` are written for the person at the
 * other end of the wire: they hold no secret, no stack and no path of the host. What an operator
 * needs on top of that travels in `cause` and goes to the log only.
 */
import type { ErrorCode } from '@exoclaw/protocol';

export interface ExoclawErrorOptions {
  readonly cause?: unknown;
  /** JSON that may be shown to the caller. */
  readonly data?: unknown;
}

export class ExoclawError extends Error {
  override readonly name = 'ExoclawError';
  readonly code: ErrorCode;
  readonly data: unknown;

  constructor(code: ErrorCode, message: string, options: ExoclawErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.data = options.data;
  }
}

/** The message of any thrown value, for a log line or a `cause` that is shown to an operator. */
export function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether a value is a Node system error with this `code` (`ENOENT`, `EADDRINUSE`, …). */
export function isSystemError(error: unknown, code?: string): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && (code === undefined || error.code === code);
}
