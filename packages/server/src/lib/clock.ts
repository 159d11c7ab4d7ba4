/** Time as a dependency, so that a test decides what "now" is and never sleeps. */
import { setTimeout as sleepFor } from 'node:timers/promises';

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted first. */
  sleep(ms: number, options: { readonly signal: AbortSignal }): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, { signal }) => sleepFor(ms, undefined, { signal }),
};
