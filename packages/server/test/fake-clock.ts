/** A clock that stands still until a test moves it, and tells the test when someone waits on it. */
import type { Clock } from '../src/lib/clock.ts';

interface Sleeper {
  readonly untilMs: number;
  readonly ms: number;
  readonly wake: () => void;
}

export interface FakeClock extends Clock {
  /** Lets time pass and wakes who waited for it. */
  advance(ms: number): void;
  /** Resolves when somebody sleeps for `ms`, or for a time that matches; at once if so already. */
  sleeping(ms: number | ((ms: number) => boolean)): Promise<void>;
  /** How long each current sleeper asked to sleep. */
  readonly sleepers: readonly number[];
}

export function createFakeClock(startMs = 1_800_000_000_000): FakeClock {
  let nowMs = startMs;
  const sleepers = new Set<Sleeper>();
  const watchers = new Set<{ matches(ms: number): boolean; resolve(): void }>();
  return {
    now: () => nowMs,
    sleep: (ms, { signal }) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(toError(signal.reason));
          return;
        }
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(toError(signal.reason));
        };
        const wake = (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        const sleeper: Sleeper = { untilMs: nowMs + ms, ms, wake };
        sleepers.add(sleeper);
        signal.addEventListener('abort', onAbort, { once: true });
        for (const watcher of watchers) {
          if (!watcher.matches(ms)) continue;
          watchers.delete(watcher);
          watcher.resolve();
        }
      }),
    advance(ms) {
      nowMs += ms;
      for (const sleeper of sleepers) {
        if (sleeper.untilMs > nowMs) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
    sleeping: (ms) =>
      new Promise((resolve) => {
        const matches = typeof ms === 'number' ? (one: number): boolean => one === ms : ms;
        if ([...sleepers].some((sleeper) => matches(sleeper.ms))) resolve();
        else watchers.add({ matches, resolve });
      }),
    get sleepers() {
      return [...sleepers].map(({ ms }) => ms);
    },
  };
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('Aborted', { cause: reason });
}
