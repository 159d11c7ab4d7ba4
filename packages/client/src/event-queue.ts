/** A bounded queue between a socket, which can't be told to wait, and the loop that reads it. */

export class EventQueue<Item> implements AsyncIterable<Item> {
  readonly #items: Item[] = [];
  readonly #max: number;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns false when the queue is full or has ended; the item is not in it then. */
  push(item: Item): boolean {
    if (this.#end !== undefined || this.#items.length >= this.#max) return false;
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /** Ends the iteration behind what is queued, with an error if there is one. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** For one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, void> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
