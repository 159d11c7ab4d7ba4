/** One streaming request on one link, as an iteration that says how it ended. */
import type { StreamEvent } from '@exoclaw/protocol';
import type { ExoclawClientError } from './error.ts';
import { EventQueue } from './event-queue.ts';
import { toClientError, toStreamEvent, type Link } from './link.ts';
import { toReason } from './wait.ts';

/** Events that may wait for a slow reader. */
const MAX_WAITING = 10_000;

/** The live link, as soon as there is one; rejects when there will be none. */
export type FindLink = (signal: AbortSignal | undefined) => Promise<Link>;

/** How a subscription ended without a `done`. */
export type Interruption =
  /** The link is gone. */
  | { readonly kind: 'lost'; readonly error: ExoclawClientError }
  /** The reader was too slow; nothing after what it got has been kept. */
  | { readonly kind: 'overflow' }
  /** The gateway refused the request. */
  | { readonly kind: 'refused'; readonly error: ExoclawClientError };

export class Subscription {
  readonly id: string;
  readonly #link: Link;
  readonly #queue = new EventQueue<StreamEvent>(MAX_WAITING);
  #interruption: Interruption | undefined;

  constructor(link: Link, method: string, params: unknown) {
    this.#link = link;
    this.id = link.request(method, params, {
      onFrame: (frame) => {
        if (!('event' in frame)) {
          this.#interrupt({ kind: 'refused', error: toClientError(frame) });
          return;
        }
        const event = toStreamEvent(frame);
        if (event === undefined) return;
        if (!this.#queue.push(event)) this.#interrupt({ kind: 'overflow' });
        else if (event.event === 'done') this.#queue.end();
      },
      onLost: (error) => this.#interrupt({ kind: 'lost', error }),
    });
  }

  /** Set when the events ended without a `done`. */
  get interruption(): Interruption | undefined {
    return this.#interruption;
  }

  /** The events up to `done` or an interruption; ends with the signal's reason when aborted. */
  async *events(signal: AbortSignal | undefined): AsyncGenerator<StreamEvent, void, void> {
    const onAbort = () => {
      if (signal !== undefined) this.#queue.end(toReason(signal));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for await (const event of this.#queue) {
        if (signal?.aborted === true) throw toReason(signal);
        yield event;
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#link.forget(this.id);
    }
  }

  #interrupt(interruption: Interruption): void {
    this.#interruption = interruption;
    this.#link.forget(this.id);
    this.#queue.end();
  }
}
