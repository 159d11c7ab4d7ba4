/** Listeners of a session: each hears every run of it, one after the other, from its start. */
import type { RunLog, SequencedEvent } from './run-log.ts';

export interface NamedLog {
  readonly runId: string;
  readonly log: RunLog;
}

/** A listener that is this many runs behind is dropped to the newest. */
const MAX_BEHIND = 64;

class Watcher {
  readonly runs: NamedLog[] = [];
  #changed = Promise.withResolvers<void>();

  push(run: NamedLog): void {
    this.runs.push(run);
    if (this.runs.length > MAX_BEHIND) this.runs.shift();
    this.wake();
  }

  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }
}

export class Watchers {
  readonly #sessions = new Map<string, Set<Watcher>>();

  /** Tells the watchers of a session that a run begins. */
  announce(sessionKey: string, run: NamedLog): void {
    for (const watcher of this.#sessions.get(sessionKey) ?? []) watcher.push(run);
  }

  /** Follows a session from the run that is going on, if any, until the signal. */
  async *watch(
    sessionKey: string,
    current: NamedLog | undefined,
    options: { readonly signal: AbortSignal },
  ): AsyncGenerator<SequencedEvent & { readonly runId: string }, void, void> {
    const { signal } = options;
    const watcher = new Watcher();
    if (current !== undefined) watcher.push(current);
    const watchers = this.#sessions.get(sessionKey) ?? new Set();
    this.#sessions.set(sessionKey, watchers.add(watcher));
    const onAbort = () => watcher.wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const run = watcher.runs.shift();
        if (run === undefined) {
          await watcher.changed();
          continue;
        }
        for await (const event of run.log.follow({ signal })) yield { ...event, runId: run.runId };
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      watchers.delete(watcher);
      if (watchers.size === 0) this.#sessions.delete(sessionKey);
    }
  }
}
