/**
 * Background work with an owner: every promise that nobody awaits at once is run in a group,
 * which logs its failure and waits for it on close.
 */
export class TaskGroup implements AsyncDisposable {
  readonly #running = new Set<Promise<void>>();
  readonly #onError: (name: string, error: unknown) => void;

  /** @param onError Called once for each task that failed; must not throw. */
  constructor(onError: (name: string, error: unknown) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#running.size;
  }

  run(name: string, task: () => Promise<void>): void {
    const settled = (async () => {
      try {
        await task();
      } catch (error) {
        this.#onError(name, error);
      }
    })();
    this.#running.add(settled);
    void settled.finally(() => this.#running.delete(settled));
  }

  /** Resolves when every task started so far, and those they started, have ended. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.idle();
  }
}
