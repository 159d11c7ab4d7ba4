/**
 * Every error a client can meet, in one table: the stable string code, its JSON-RPC number, its
 * HTTP status, whether the message may leave the process, and whether trying again can help.
 */

/** How one error code appears on each wire. */
export interface ErrorSpec {
  /** JSON-RPC 2.0 error number; section 5.1 of that specification reserves -32768 to -32000. */
  readonly rpc: number;
  readonly http: number;
  /** When false a client sees "Internal error" and an id that is also in the log. */
  readonly exposable: boolean;
  readonly retryable: boolean;
}

export const ERRORS = {
  parse_error: { rpc: -32700, http: 400, exposable: true, retryable: false },
  invalid_request: { rpc: -32600, http: 400, exposable: true, retryable: false },
  unknown_method: { rpc: -32601, http: 404, exposable: true, retryable: false },
  invalid_params: { rpc: -32602, http: 400, exposable: true, retryable: false },
  internal: { rpc: -32603, http: 500, exposable: false, retryable: true },
  auth_failed: { rpc: -32001, http: 401, exposable: true, retryable: false },
  forbidden: { rpc: -32002, http: 403, exposable: true, retryable: false },
  rate_limited: { rpc: -32003, http: 429, exposable: true, retryable: true },
  too_large: { rpc: -32004, http: 413, exposable: true, retryable: false },
  no_agent: { rpc: -32010, http: 404, exposable: true, retryable: false },
  no_api_key: { rpc: -32011, http: 503, exposable: true, retryable: false },
  budget_exceeded: { rpc: -32012, http: 402, exposable: true, retryable: false },
  provider_error: { rpc: -32013, http: 502, exposable: true, retryable: true },
  provider_timeout: { rpc: -32014, http: 504, exposable: true, retryable: true },
  plugin_error: { rpc: -32015, http: 502, exposable: true, retryable: false },
  session_busy: { rpc: -32016, http: 429, exposable: true, retryable: true },
  shutting_down: { rpc: -32017, http: 503, exposable: true, retryable: true },
  run_limit: { rpc: -32018, http: 422, exposable: true, retryable: true },
  not_found: { rpc: -32019, http: 404, exposable: true, retryable: false },
  config_error: { rpc: -32020, http: 400, exposable: true, retryable: false },
  store_error: { rpc: -32021, http: 503, exposable: true, retryable: true },
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

/** WebSocket close codes of the gateway (RFC 6455 section 7.4; 4000-4999 are ours). */
export const CLOSE = {
  goingAway: 1001,
  unsupportedData: 1003,
  tooLarge: 1009,
  internal: 1011,
  serviceRestart: 1012,
  slowConsumer: 1013,
  authFailed: 4001,
} as const;
