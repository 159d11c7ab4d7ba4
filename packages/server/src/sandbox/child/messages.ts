/** What the JSON in a frame's packet holds, for each frame that has one. */

/** `call`: parts are the seed (32 bytes), the input, and one value for each of `vars`. */
export interface CallMeta {
  readonly module: number;
  /** Name of the export; empty runs the start-up functions only. */
  readonly fn: string;
  readonly config: readonly (readonly [key: string, value: string])[];
  readonly vars: readonly string[];
  /** Epoch milliseconds. */
  readonly nowMs: number;
  readonly limits: CallLimits;
}

export interface CallLimits {
  /** Largest size of the ABI memory in pages of 64 KiB. */
  readonly kernelPages: number;
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly errorBytes: number;
  readonly logBytes: number;
  readonly logLines: number;
  readonly varBytes: number;
  readonly varKeys: number;
  readonly hostCalls: number;
}

/** `result`: parts are the output and one value for each of `vars` that was set. */
export interface ResultMeta {
  /** Changed vars; `false` means deleted. */
  readonly vars: readonly (readonly [key: string, isSet: boolean])[];
  readonly droppedLogLines: number;
}

export const GUEST_ERROR_CODES = [
  'denied',
  'memory_limit',
  'guest_error',
  'guest_trap',
  'output_invalid',
] as const;

export type GuestErrorCode = (typeof GUEST_ERROR_CODES)[number];

/** `guestError`: no parts. */
export interface GuestErrorMeta {
  readonly code: GuestErrorCode;
  readonly message: string;
  /** For `denied`: the grant that would have allowed it. */
  readonly grant?: string;
  readonly droppedLogLines: number;
}

/** `log`: the level is the index in `flags`, the body is the text in UTF-8, cut to the limit. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
