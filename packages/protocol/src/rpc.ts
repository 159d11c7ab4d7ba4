/**
 * The two dialects of a frame. A frame with a `jsonrpc` member is JSON-RPC 2.0 (strict to that
 * specification, batches included); one without is the plain dialect. Both reach the same method
 * table.
 *
 * Source: https://www.jsonrpc.org/specification
 */
import * as z from 'zod';
import { ERRORS, type ErrorCode } from './errors.ts';

export const PROTOCOL_VERSION = 1;

export type RequestId = string | number;

/** What a client asked, whichever dialect it spoke. */
export interface RpcRequest {
  readonly dialect: 'plain' | 'jsonrpc';
  /** Undefined for a JSON-RPC notification: nothing is answered. `null` is legal there, too. */
  readonly id: RequestId | null | undefined;
  readonly method: string;
  readonly params: unknown;
}

export interface RpcFault {
  readonly dialect: 'plain' | 'jsonrpc';
  readonly id: RequestId | null;
  readonly code: ErrorCode;
  readonly message: string;
}

export type ParsedFrame =
  | { readonly kind: 'single'; readonly item: RpcRequest | RpcFault }
  /** JSON-RPC batch (section 6): answered with one array, unless it held notifications only. */
  | { readonly kind: 'batch'; readonly items: readonly (RpcRequest | RpcFault)[] };

export function isFault(item: RpcRequest | RpcFault): item is RpcFault {
  return 'code' in item;
}

export const MAX_BATCH = 64;
const MAX_ID_LENGTH = 256;

// A whole number beyond 2^53 would come back as another one, so it is no id.
const numericId = z.number().refine((id) => !Number.isInteger(id) || Number.isSafeInteger(id));
const plainId = z.union([z.string().max(MAX_ID_LENGTH), numericId]);
const rpcId = z.union([z.string().max(MAX_ID_LENGTH), numericId, z.null()]);

const plainRequest = z.object({
  id: plainId,
  method: z.string().min(1).max(128),
  params: z.unknown().optional(),
});

const rpcRequest = z.object({
  jsonrpc: z.literal('2.0'),
  id: rpcId.optional(),
  method: z.string().max(128),
  params: z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
});

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsePlain(value: unknown): RpcRequest | RpcFault {
  const parsed = plainRequest.safeParse(value);
  if (parsed.success) {
    return {
      dialect: 'plain',
      id: parsed.data.id,
      method: parsed.data.method,
      params: parsed.data.params ?? {},
    };
  }
  const id = plainId.safeParse(isRecord(value) ? value['id'] : undefined);
  return {
    dialect: 'plain',
    id: id.success ? id.data : '0',
    code: 'invalid_request',
    message:
      'invalid request: a frame needs an "id" (string or number) and a "method" (string), for example {"id":"1","method":"ping"}',
  };
}

function parseJsonRpc(value: unknown): RpcRequest | RpcFault {
  const parsed = rpcRequest.safeParse(value);
  if (parsed.success) {
    const { id, method, params } = parsed.data;
    return { dialect: 'jsonrpc', id, method, params: params ?? {} };
  }
  const id = rpcId.safeParse(isRecord(value) ? value['id'] : undefined);
  return {
    dialect: 'jsonrpc',
    id: id.success ? id.data : null,
    code: 'invalid_request',
    message: 'Invalid Request',
  };
}

/** Reads one text frame. Never throws: what can't be read comes back as a fault to answer with. */
export function parseFrame(text: string): ParsedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'not JSON';
    return {
      kind: 'single',
      item: {
        dialect: looksLikeJsonRpc(text) ? 'jsonrpc' : 'plain',
        id: looksLikeJsonRpc(text) ? null : '0',
        code: 'parse_error',
        message: `parse error: ${reason.slice(0, 200)}`,
      },
    };
  }
  if (Array.isArray(value)) return parseBatch(value);
  if (isRecord(value) && 'jsonrpc' in value) return { kind: 'single', item: parseJsonRpc(value) };
  return { kind: 'single', item: parsePlain(value) };
}

// A frame that is not JSON has no `jsonrpc` member to read; its sender still expects its dialect.
function looksLikeJsonRpc(text: string): boolean {
  return text.slice(0, 1024).includes('"jsonrpc"');
}

function parseBatch(values: readonly unknown[]): ParsedFrame {
  const [first] = values;
  if (first === undefined || values.length > MAX_BATCH) {
    const message =
      values.length === 0
        ? 'Invalid Request: empty batch'
        : `Invalid Request: a batch holds at most ${MAX_BATCH} requests`;
    return {
      kind: 'single',
      item: { dialect: 'jsonrpc', id: null, code: 'invalid_request', message },
    };
  }
  return { kind: 'batch', items: values.map(parseJsonRpc) };
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly data?: unknown;
}

/** A success in the caller's dialect, ready for `JSON.stringify`. */
export function toResultFrame(
  request: Pick<RpcRequest, 'dialect' | 'id'>,
  result: unknown,
): Record<string, unknown> {
  const body = result === undefined ? null : result;
  return request.dialect === 'plain'
    ? { id: request.id, result: body }
    : { jsonrpc: '2.0', id: request.id, result: body };
}

/** A failure in the caller's dialect, ready for `JSON.stringify`. */
export function toErrorFrame(
  request: { readonly dialect: 'plain' | 'jsonrpc'; readonly id?: RequestId | null | undefined },
  error: WireError,
): Record<string, unknown> {
  if (request.dialect === 'plain') {
    return { id: request.id ?? '0', error: error.message, code: error.code };
  }
  return {
    jsonrpc: '2.0',
    id: request.id ?? null,
    error: {
      code: ERRORS[error.code].rpc,
      message: error.message,
      data: { code: error.code, ...(error.data === undefined ? {} : { detail: error.data }) },
    },
  };
}
