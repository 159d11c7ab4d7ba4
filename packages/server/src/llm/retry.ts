/**
 * Asks again when a provider failed in a way that may pass, but only before the first content: an
 * answer that a person has begun to read is never started over.
 */
import type { Clock } from '../lib/clock.ts';
import { aborted } from './failure.ts';
import { isContent, type LlmEvent, type LlmRequest, type Provider } from './provider.ts';

export interface RetryOptions {
  readonly clock: Clock;
  /** Calls in all; default 3. */
  readonly attempts?: number;
  /** Upper bound of the first wait, doubled for each one after; default 500. */
  readonly baseDelayMs?: number;
  /** A provider that asks for a longer wait than this is not asked again; default 20 000. */
  readonly maxDelayMs?: number;
  /** From 0 up to 1; spreads the waits of sessions that failed together. */
  readonly random?: () => number;
}

export function withRetry(provider: Provider, options: RetryOptions): Provider {
  return {
    model: provider.model,
    stream: (request, { signal }) => streamWithRetry(provider, options, request, signal),
  };
}

async function* streamWithRetry(
  provider: Provider,
  options: RetryOptions,
  request: LlmRequest,
  signal: AbortSignal,
): AsyncGenerator<LlmEvent> {
  const {
    clock,
    attempts = 3,
    baseDelayMs = 500,
    maxDelayMs = 20_000,
    random = Math.random,
  } = options;
  for (let attempt = 1; ; attempt += 1) {
    let spoken = false;
    let delayMs: number | undefined;
    let failed: Extract<LlmEvent, { type: 'error' }> | undefined;
    for await (const event of provider.stream(request, { signal })) {
      if (event.type === 'error' && !spoken && event.error.retryable && attempt < attempts) {
        // Between half and all of the back-off, and never sooner than the provider asked for.
        const backoffMs = baseDelayMs * 2 ** (attempt - 1) * (0.5 + random() / 2);
        delayMs = Math.max(Math.min(backoffMs, maxDelayMs), event.error.retryAfterMs ?? 0);
        if (delayMs <= maxDelayMs) {
          failed = event;
          break;
        }
      }
      spoken ||= isContent(event);
      yield event;
    }
    if (failed === undefined || delayMs === undefined) return;
    try {
      await clock.sleep(delayMs, { signal });
    } catch {
      yield { ...failed, error: aborted(signal.reason) };
      return;
    }
  }
}
