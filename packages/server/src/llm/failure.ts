/**
 * Turns whatever a provider call can end with into one short sentence for a person, and says
 * whether asking again can help. A sentence is one bounded line: no stack, no key, no query of a
 * URL, no control character, whatever the provider sent.
 */
import type { Secret } from '../lib/secret.ts';
import type { LlmFailure } from './provider.ts';

const MAX_SENTENCE_CHARS = 240;
const MAX_CAUSE_CHARS = 1000;
/** A placeholder such as `x`, which local servers are given, is no secret and in every word. */
const MIN_KEY_CHARS = 6;

/** Sentences for a stream that ends too early, and for one that no format knows. */
export const CUT = 'connection closed before the answer was complete';
export const MALFORMED = 'malformed answer';

/** A time-out of ours, thrown through the layers below so that it is recognised on top. */
export class LlmTimeout extends Error {
  override readonly name = 'LlmTimeout';
}

/** What system error codes mean; the rest is named by its code. */
const NETWORK: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed by the provider',
  EPIPE: 'connection closed by the provider',
  UND_ERR_SOCKET: 'connection closed by the provider',
  ETIMEDOUT: 'connection timed out',
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'host name could not be resolved',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EMSGSIZE: 'answer too large',
};

export interface FailureContext {
  readonly apiKey: Secret | undefined;
  readonly nowMs: number;
}

/** What is read of an error, which may be an SDK error, a stream's error object or a plain one. */
interface ErrorShape {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly cause?: unknown;
  readonly statusCode?: unknown;
  readonly isRetryable?: unknown;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseBody?: unknown;
}

export function toFailure(error: unknown, context: FailureContext): LlmFailure {
  const chain = causeChain(error);
  const cause = toCause(chain, context.apiKey);
  const timeout = chain.find((one) => one instanceof LlmTimeout);
  if (timeout) {
    const message = `provider error: ${timeout.message}`;
    return { code: 'provider_timeout', message, retryable: true, cause };
  }
  const shape = chain[0] ?? {};
  const status = typeof shape.statusCode === 'number' ? shape.statusCode : undefined;
  const network = status === undefined || status < 300 ? findNetworkFailure(chain) : undefined;
  if (network !== undefined) {
    const retryable = !/certificate|too large/.test(network);
    return providerFailure(network, { retryable, cause });
  }
  if (isMalformed(shape)) {
    const cut = /ended without/.test(String(shape.message));
    return providerFailure(cut ? CUT : MALFORMED, { retryable: true, cause });
  }
  const text =
    clean(String(shape.message ?? error), context.apiKey, MAX_SENTENCE_CHARS) || 'unknown failure';
  const retryAfterMs = readRetryAfter(shape, context.nowMs);
  return providerFailure(status === undefined ? text : `${status} ${text}`, {
    retryable: isRetryable(shape, status),
    ...(status !== undefined && { status }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    cause,
  });
}

/** A failure that is not an exception: `provider error: SENTENCE`. */
export function providerFailure(
  sentence: string,
  rest: Omit<LlmFailure, 'code' | 'message'>,
): LlmFailure {
  return { code: 'provider_error', message: `provider error: ${sentence}`, ...rest };
}

export function aborted(cause: unknown): LlmFailure {
  return { code: 'aborted', message: 'the call was aborted', retryable: false, cause };
}

function causeChain(error: unknown): ErrorShape[] {
  const chain: ErrorShape[] = [];
  let current = error;
  while (typeof current === 'object' && current !== null && chain.length < 8) {
    const shape: ErrorShape = current;
    chain.push(shape);
    current = shape.cause;
  }
  return chain;
}

function findNetworkFailure(chain: readonly ErrorShape[]): string | undefined {
  for (const { code } of chain) {
    if (typeof code !== 'string') continue;
    const known = NETWORK[code];
    if (known !== undefined) return known;
    if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) return `TLS certificate refused (${code})`;
    if (/^(E[A-Z]+|HPE_|ERR_SSL_|UND_ERR_)/.test(code)) return `connection failed (${code})`;
  }
  return undefined;
}

/** The SDK throws a plain `Error` at a chunk it cannot place. */
function isMalformed({ name, statusCode }: ErrorShape): boolean {
  if (typeof name !== 'string' || statusCode !== undefined) return false;
  return name === 'Error' || /JSONParse|TypeValidation|InvalidResponse|EmptyResponse/.test(name);
}

function isRetryable(shape: ErrorShape, status: number | undefined): boolean {
  // Both Anthropic and OpenAI send this header with an error.
  const advice = shape.responseHeaders?.['x-should-retry'];
  if (advice === 'true' || advice === 'false') return advice === 'true';
  // A 429 like any other by its number, but waiting does not fill an account.
  const body = String(shape.responseBody);
  if (shape.code === 'insufficient_quota' || body.includes('insufficient_quota')) return false;
  if (typeof shape.isRetryable === 'boolean') return shape.isRetryable;
  return status === undefined || status === 408 || status === 429 || status >= 500;
}

/** `retry-after` in seconds or as a date (RFC 9110 section 10.2.3), or the dialects of it. */
function readRetryAfter(shape: ErrorShape, nowMs: number): number | undefined {
  const exact = shape.responseHeaders?.['retry-after-ms'];
  if (exact !== undefined && Number.isFinite(Number(exact))) return Math.max(0, Number(exact));
  const header = shape.responseHeaders?.['retry-after'];
  if (header !== undefined) {
    const seconds = Number(header);
    const waitMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - nowMs;
    return Number.isNaN(waitMs) ? undefined : Math.max(0, waitMs);
  }
  // Google has it in the body.
  const delay = /"retryDelay":\s*"(\d+(?:\.\d+)?)s"/.exec(String(shape.responseBody));
  return delay?.[1] === undefined ? undefined : Number(delay[1]) * 1000;
}

/**
 * What an operator needs to know, without what the SDK hangs on its errors: the whole prompt, which
 * has no place in a log.
 */
function toCause(chain: readonly ErrorShape[], apiKey: Secret | undefined): Error {
  const lines = chain.map(({ name, code, message }) =>
    [name, code, message].filter((part) => typeof part === 'string').join(' '),
  );
  return new Error(clean(lines.join('; caused by '), apiKey, MAX_CAUSE_CHARS));
}

function clean(text: string, apiKey: Secret | undefined, maxChars: number): string {
  const key = apiKey?.reveal() ?? '';
  const line = (key.length < MIN_KEY_CHARS ? text : text.replaceAll(key, '[secret]'))
    .replace(/[\p{C}\s]+/gu, ' ')
    .replace(/(https?:\/\/[^\s?#"']+)[?#][^\s"']*/g, '$1')
    .replace(/\b(?:sk-|AIza|gsk_|xai-)[\w*.-]{6,}/g, '[secret]')
    .trim();
  return line.length > maxChars ? `${line.slice(0, maxChars)}…` : line;
}
