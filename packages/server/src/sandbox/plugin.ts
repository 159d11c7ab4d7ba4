/**
 * The sandbox as its callers see it: open it, load a plugin's bytes with the grants of the
 * operator, call its exports. A call never throws for anything the guest did; its result says what
 * happened. Everything behind this file may change without a caller noticing.
 */

export type SandboxErrorCode =
  /** The verifier or the engine refused the module; names the import or the limit. */
  | 'plugin_rejected'
  /** The host refused something that was not granted; the guest went on or not. */
  | 'denied'
  | 'timeout'
  | 'memory_limit'
  /** The guest said so itself: `error_set`, or a result other than 0. */
  | 'guest_error'
  | 'guest_trap'
  | 'output_invalid'
  /** The process died of a neighbour's fault after this call had effects. */
  | 'interrupted'
  | 'cancelled'
  | 'unavailable'
  /** The child broke the frame protocol: a security event. */
  | 'protocol';

export interface SandboxCallError {
  readonly code: SandboxErrorCode;
  /** Bounded and escaped: may be shown to a model or a person. */
  readonly message: string;
  /** For `timeout`: what the time went to. */
  readonly detail?: 'cpu' | 'wait' | 'load';
  /** For `denied`: the exact grant that would have allowed it. */
  readonly grant?: string;
}

export interface LogLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
}

export type CallResult =
  | {
      readonly ok: true;
      readonly output: Uint8Array;
      readonly logs: readonly LogLine[];
      readonly durationMs: number;
    }
  | {
      readonly ok: false;
      readonly error: SandboxCallError;
      readonly logs: readonly LogLine[];
      readonly durationMs: number;
    };

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Wall time, at most the plugin's own limit. */
  readonly deadlineMs?: number;
  /** For fair queueing between sessions. */
  readonly session?: string;
}

/** Limits of one plugin; defaults in `limits.ts`. The operator may raise them. */
export interface PluginLimits {
  readonly deadlineMs: number;
  readonly loadDeadlineMs: number;
  readonly memoryBytes: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly errorBytes: number;
  readonly logBytes: number;
  readonly logLines: number;
  readonly varBytes: number;
  readonly varKeys: number;
  readonly hostCalls: number;
}

/** Where `var_get` and `var_set` keep their values between calls. */
export interface VarStore {
  read(plugin: string): Promise<ReadonlyMap<string, Uint8Array>>;
  /** @returns false when the quota would be passed; nothing is written then. */
  write(
    plugin: string,
    changes: ReadonlyMap<string, Uint8Array | undefined>,
    quota: { readonly maxBytes: number; readonly maxKeys: number },
  ): Promise<boolean>;
}

export interface LoadOptions {
  readonly name: string;
  /** Read once by the caller: what is hashed is what is compiled. */
  readonly bytes: Uint8Array;
  /** Grants of the operator, as in the configuration: `config:KEY`, `http:HOST`, … */
  readonly grants: readonly string[];
  /** Values for `config_get`; only keys with a `config:KEY` grant are visible to the guest. */
  readonly config?: Readonly<Record<string, string>>;
  readonly limits?: Partial<PluginLimits>;
}

export interface SandboxPlugin extends AsyncDisposable {
  readonly name: string;
  /** SHA-256 of the bytes, lowercase hex. */
  readonly digest: string;
  /** Names of the functions the module exports. */
  readonly exports: readonly string[];
  call(exportName: string, input: Uint8Array | string, options?: CallOptions): Promise<CallResult>;
}

/** Which walls are really up; never more than was probed. */
export interface SandboxStatus {
  readonly level: 'full' | 'strong' | 'basic' | 'seatbelt';
  readonly walls: readonly string[];
  /** The one honest line for start and `doctor`. */
  readonly summary: string;
  readonly processes: number;
  readonly calls: number;
}

export interface Sandbox extends AsyncDisposable {
  /** @throws {SandboxLoadError} when the module is refused. */
  load(options: LoadOptions): Promise<SandboxPlugin>;
  status(): SandboxStatus;
}

export class SandboxLoadError extends Error {
  override readonly name = 'SandboxLoadError';
  readonly code: SandboxErrorCode;

  constructor(code: SandboxErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
