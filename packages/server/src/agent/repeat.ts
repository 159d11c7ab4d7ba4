/** Notices an agent that goes in circles: the same tool, the same arguments, again and again. */
import type { ToolCallBlock } from '../store/store.ts';

export class RepeatGuard {
  readonly #maxRepeats: number;
  #last = '';
  #count = 0;

  constructor(maxRepeats: number) {
    this.#maxRepeats = maxRepeats;
  }

  /** Counts a call. @returns true when it is the last that is allowed to be asked for in a row. */
  isStuck(call: ToolCallBlock): boolean {
    const key = `${call.name}\0${toStableJson(call.input)}`;
    this.#count = key === this.#last ? this.#count + 1 : 1;
    this.#last = key;
    return this.#count >= this.#maxRepeats;
  }
}

// Models write the same arguments with their keys in another order.
function toStableJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
