/**
 * Ends a request that has gone quiet. One timer runs for the whole request: a sign of life only
 * moves the deadline, which the timer looks at when it wakes. It never sleeps longer than the
 * shortest limit, so that a deadline can't fall before the next look.
 */
import type { Clock } from '../lib/clock.ts';

/** A fixed reason: making an `AbortError` costs as much as several chunks. */
const DONE = 'done';

export class Watchdog implements Disposable {
  readonly #clock: Clock;
  readonly #onExpire: (sentence: string) => void;
  readonly #done = new AbortController();
  readonly #longestSleepMs: number;
  #limitMs: number;
  #sentence: string;
  #deadlineMs: number;

  /**
   * @param limits First how long to wait for the first content, then how long between signs of life.
   * @param onExpire Called at most once, with what to tell a person; must not throw.
   */
  constructor(
    clock: Clock,
    limits: { readonly firstTokenMs: number; readonly silenceMs: number },
    onExpire: (sentence: string) => void,
  ) {
    this.#clock = clock;
    this.#onExpire = onExpire;
    this.#longestSleepMs = Math.min(limits.firstTokenMs, limits.silenceMs);
    this.#limitMs = limits.firstTokenMs;
    this.#sentence = `no answer within ${limits.firstTokenMs / 1000} s`;
    this.#deadlineMs = clock.now() + limits.firstTokenMs;
    void this.#watch();
  }

  /** The first content is there: from now on only silence counts. */
  expectSilenceBelow(silenceMs: number): void {
    this.#limitMs = silenceMs;
    this.#sentence = `silent for ${silenceMs / 1000} s`;
    this.touch();
  }

  /** Notes a sign of life. */
  touch(): void {
    this.#deadlineMs = this.#clock.now() + this.#limitMs;
  }

  [Symbol.dispose](): void {
    this.#done.abort(DONE);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#done;
    try {
      for (;;) {
        const leftMs = this.#deadlineMs - this.#clock.now();
        if (leftMs <= 0) break;
        await this.#clock.sleep(Math.min(leftMs, this.#longestSleepMs), { signal });
      }
    } catch {
      // The request ended first.
      return;
    }
    this.#onExpire(this.#sentence);
  }
}
