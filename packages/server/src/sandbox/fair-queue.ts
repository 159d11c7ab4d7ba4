/**
 * A bounded queue that takes one item from each session in turn, so that a session with a hundred
 * waiting calls delays another's single call by one place only.
 */
export class FairQueue<T> {
  readonly #sessions = new Map<string, T[]>();
  readonly #maxItems: number;
  readonly #maxPerSession: number;
  #size = 0;

  constructor(limits: { readonly maxItems: number; readonly maxPerSession: number }) {
    this.#maxItems = limits.maxItems;
    this.#maxPerSession = limits.maxPerSession;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns false when the queue or the session's part of it is full. */
  push(session: string, item: T): boolean {
    const items = this.#sessions.get(session) ?? [];
    if (this.#size >= this.#maxItems || items.length >= this.#maxPerSession) return false;
    items.push(item);
    this.#sessions.set(session, items);
    this.#size += 1;
    return true;
  }

  /** The first item of the session whose turn it is; that session then goes last. */
  shift(): T | undefined {
    for (const [session, items] of this.#sessions) {
      const item = items.shift();
      this.#sessions.delete(session);
      if (items.length > 0) this.#sessions.set(session, items);
      this.#size -= 1;
      return item;
    }
    return undefined;
  }

  /** @returns false when the item is not waiting. */
  remove(item: T): boolean {
    for (const [session, items] of this.#sessions) {
      const index = items.indexOf(item);
      if (index === -1) continue;
      items.splice(index, 1);
      if (items.length === 0) this.#sessions.delete(session);
      this.#size -= 1;
      return true;
    }
    return false;
  }
}
