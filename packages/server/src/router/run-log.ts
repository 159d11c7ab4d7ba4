/**
 * The events of one run, kept while it goes on and a while after, so that any number of listeners
 * can follow from any point: the sender, a second tab, a client that lost its connection. A run's
 * own limits bound its length.
 */
import type { RunEvent } from '../agent/events.ts';

/** An event of a run; `seq` counts from 1 without gaps. */
export interface SequencedEvent {
  readonly seq: number;
  readonly event: RunEvent;
}

export class RunLog {
  // A text delta is kept as its bare string: most events are one, and an object each would be
  // three times the memory.
  readonly #events: (string | Exclude<RunEvent, { type: 'text-delta' }>)[] = [];
  #ended = false;
  #changed: PromiseWithResolvers<void> | undefined;

  get ended(): boolean {
    return this.#ended;
  }

  /** Adds an event; `run-end` closes the log. */
  append(event: RunEvent): void {
    this.#events.push(event.type === 'text-delta' ? event.text : event);
    if (event.type === 'run-end') this.#ended = true;
    this.#wake();
  }

  /** Events after `after`, then live ones, until the run or the signal ends. */
  async *follow(options: {
    readonly after?: number;
    readonly signal: AbortSignal;
  }): AsyncGenerator<SequencedEvent, void, void> {
    const { signal } = options;
    let seq = options.after ?? 0;
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const entry = this.#events[seq];
        if (entry !== undefined) {
          seq += 1;
          yield {
            seq,
            event: typeof entry === 'string' ? { type: 'text-delta', text: entry } : entry,
          };
        } else if (this.#ended) {
          return;
        } else {
          this.#changed ??= Promise.withResolvers();
          await this.#changed.promise;
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #wake(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
  }
}
