/**
 * Circuit breakers, one per provider and address: after several failures in a row calls fail at
 * once instead of each waiting for the same outage, and after a while one call is let through to
 * see. What happens before the first content decides: the breaker guards reaching the provider, not
 * finishing an answer. A refusal of the request (401, 404, 429) shows that it is reachable.
 */
import type { Clock } from '../lib/clock.ts';
import { providerFailure } from './failure.ts';
import {
  isContent,
  type LlmEvent,
  type LlmFailure,
  type LlmRequest,
  type Provider,
} from './provider.ts';

export interface BreakerOptions {
  readonly clock: Clock;
  /** Consecutive failures that open the circuit; default 5. */
  readonly threshold?: number;
  /** How long it stays open before a trial call; default 30 000. */
  readonly halfOpenAfterMs?: number;
}

/** The state of one circuit; shared by every provider object that calls the same address. */
export class CircuitBreaker {
  readonly #clock: Clock;
  readonly #threshold: number;
  readonly #halfOpenAfterMs: number;
  #failures = 0;
  #openUntilMs: number | undefined;
  #trial = false;

  constructor({ clock, threshold = 5, halfOpenAfterMs = 30_000 }: BreakerOptions) {
    this.#clock = clock;
    this.#threshold = threshold;
    this.#halfOpenAfterMs = halfOpenAfterMs;
  }

  /** Asks to make a call. @returns undefined, or how long to wait until one is possible again. */
  enter(): number | undefined {
    if (this.#openUntilMs === undefined) return undefined;
    const leftMs = this.#openUntilMs - this.#clock.now();
    if (leftMs > 0 || this.#trial) return Math.max(leftMs, 1000);
    this.#trial = true;
    return undefined;
  }

  /** Reports how a call that was let in went; `unknown` when it was aborted before it could show. */
  leave(outcome: 'success' | 'failure' | 'unknown'): void {
    this.#trial = false;
    if (outcome === 'success') {
      this.#failures = 0;
      this.#openUntilMs = undefined;
    } else if (outcome === 'failure') {
      this.#failures += 1;
      if (this.#failures >= this.#threshold) {
        this.#openUntilMs = this.#clock.now() + this.#halfOpenAfterMs;
      }
    }
  }
}

/** Hands out the breaker of each address; the number of addresses is that of the configuration. */
export class BreakerRegistry {
  readonly #options: BreakerOptions;
  readonly #breakers = new Map<string, CircuitBreaker>();

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get(key: string): CircuitBreaker {
    let breaker = this.#breakers.get(key);
    if (breaker === undefined) {
      breaker = new CircuitBreaker(this.#options);
      this.#breakers.set(key, breaker);
    }
    return breaker;
  }
}

export function withBreaker(provider: Provider, breaker: CircuitBreaker): Provider {
  return {
    model: provider.model,
    stream: (request, { signal }) => streamWithBreaker(provider, breaker, request, signal),
  };
}

async function* streamWithBreaker(
  provider: Provider,
  breaker: CircuitBreaker,
  request: LlmRequest,
  signal: AbortSignal,
): AsyncGenerator<LlmEvent> {
  const waitMs = breaker.enter();
  if (waitMs !== undefined) {
    const seconds = Math.ceil(waitMs / 1000);
    const name = provider.model.provider;
    yield {
      type: 'error',
      model: provider.model,
      // Not retryable: whoever waits here defeats the purpose.
      error: providerFailure(`${name} keeps failing, circuit open, next try in ${seconds} s`, {
        retryable: false,
      }),
      message: { role: 'assistant', content: [], stopped: 'error' },
      usage: undefined,
    };
    return;
  }
  let outcome: 'success' | 'failure' | 'unknown' = 'unknown';
  let reported = false;
  const report = (): void => {
    if (!reported) breaker.leave(outcome);
    reported = true;
  };
  try {
    for await (const event of provider.stream(request, { signal })) {
      if (!reported && (isContent(event) || event.type === 'finish')) outcome = 'success';
      else if (!reported && event.type === 'error') outcome = toOutcome(event.error);
      if (outcome !== 'unknown') report();
      yield event;
    }
  } finally {
    report();
  }
}

function toOutcome({ code, status }: LlmFailure): 'success' | 'failure' | 'unknown' {
  if (code === 'aborted' || code === 'no_api_key') return 'unknown';
  return status === undefined || status >= 500 ? 'failure' : 'success';
}
