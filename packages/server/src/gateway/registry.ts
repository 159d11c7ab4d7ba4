/**
 * The open connections, and the two things time does to them: a ping every `pingSeconds`, and the
 * end of those that send no token. One timer serves all connections. Pings go out in slices, one
 * a second, so that ten thousand idle sockets are never written to in one go.
 */
import type { Clock } from '../lib/clock.ts';
import type { TaskGroup } from '../lib/tasks.ts';

export interface Member {
  /** Once per round: ping, or end what has not answered since the last time. */
  beat(): void;
  /** The time to send a token is over. */
  expire(): void;
}

export class Registry<M extends Member> {
  readonly #slices: readonly Set<M>[];
  readonly #waiting = new Map<M, number>();
  readonly #authMs: number;
  readonly #clock: Clock;
  readonly #tasks: TaskGroup;
  readonly #signal: AbortSignal;
  #added = 0;

  constructor(options: {
    readonly pingSeconds: number;
    readonly authSeconds: number;
    readonly clock: Clock;
    readonly tasks: TaskGroup;
    /** Stops the timers. */
    readonly signal: AbortSignal;
  }) {
    this.#slices = Array.from({ length: options.pingSeconds }, () => new Set<M>());
    this.#authMs = options.authSeconds * 1000;
    this.#clock = options.clock;
    this.#tasks = options.tasks;
    this.#signal = options.signal;
    this.#tasks.run('ping connections', () => this.#untilStopped(() => this.#beatForever()));
  }

  *[Symbol.iterator](): Generator<M, void, void> {
    for (const slice of this.#slices) yield* slice;
  }

  /** @returns what to call when the member is gone. */
  add(member: M): () => void {
    const slice = this.#slices[this.#added % this.#slices.length];
    this.#added += 1;
    slice?.add(member);
    return () => {
      slice?.delete(member);
      this.#waiting.delete(member);
    };
  }

  /** Starts the time a member has to send its token. */
  awaitToken(member: M): void {
    this.#waiting.set(member, this.#clock.now() + this.#authMs);
    if (this.#waiting.size === 1) {
      this.#tasks.run('expire connections', () => this.#untilStopped(() => this.#expireAll()));
    }
  }

  /** @returns whether the member was still in time. */
  stopAwaiting(member: M): boolean {
    const deadline = this.#waiting.get(member);
    this.#waiting.delete(member);
    return deadline === undefined || this.#clock.now() <= deadline;
  }

  async #beatForever(): Promise<void> {
    for (let at = 0; ; at = (at + 1) % this.#slices.length) {
      await this.#clock.sleep(1000, { signal: this.#signal });
      for (const member of this.#slices[at] ?? []) member.beat();
    }
  }

  // All wait equally long, so the map's order of insertion is the order of the deadlines.
  async #expireAll(): Promise<void> {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const [member, deadline] = next;
      const leftMs = deadline - this.#clock.now();
      if (leftMs > 0) {
        await this.#clock.sleep(leftMs, { signal: this.#signal });
      } else {
        this.#waiting.delete(member);
        member.expire();
      }
    }
  }

  async #untilStopped(loop: () => Promise<void>): Promise<void> {
    try {
      await loop();
    } catch (error) {
      if (!this.#signal.aborted) throw error;
    }
  }
}
