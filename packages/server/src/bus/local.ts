/**
 * The bus of a single process. The store's inbox is its queue: a message is safe when `publish`
 * has put it there and forgotten some time after it is acknowledged. What lies in the inbox at
 * start was accepted by a process that died; a run that had ended is recognised by its id.
 */
import { ExoclawError } from '../lib/error.ts';
import type { InboundMessage, Store } from '../store/store.ts';
import type { Bus, Consumer } from './bus.ts';

export interface LocalBusOptions {
  readonly store: Pick<Store, 'putInbox' | 'removeInbox' | 'listInbox'>;
}

export function createLocalBus({ store }: LocalBusOptions): Bus {
  let state: 'idle' | 'starting' | 'live' | 'closed' = 'idle';
  let consumer: Consumer | undefined;
  /** Published here and not delivered yet; `stored` once it is in the inbox. */
  const waiting = new Map<string, { readonly message: InboundMessage; stored: boolean }>();

  /** Acknowledged and still in the inbox: the next message takes them along, to save a write. */
  let done: string[] = [];

  const isClosed = (): boolean => state === 'closed';
  const deliver = (message: InboundMessage, redelivered: boolean): void => {
    waiting.delete(message.id);
    const ack = async (): Promise<void> => {
      done.push(message.id);
    };
    consumer?.({ message, redelivered, ack });
  };

  return {
    describe: () => ({ kind: 'local' }),

    async publish(message) {
      if (isClosed()) throw new ExoclawError('shutting_down', 'The gateway is stopping');
      const entry = { message, stored: false };
      // A repeat that comes while the first is being stored must not take its place.
      const repeated = waiting.has(message.id);
      if (!repeated) waiting.set(message.id, entry);
      try {
        const forget = done;
        done = [];
        if (!(await store.putInbox(message, forget))) {
          if (!repeated) waiting.delete(message.id);
          return 'duplicate';
        }
      } catch (error) {
        if (!repeated) waiting.delete(message.id);
        throw error;
      }
      entry.stored = true;
      // The list that `consume` reads may have had it already.
      if (state === 'live' && waiting.has(message.id)) deliver(message, false);
      return 'accepted';
    },

    async consume(newConsumer) {
      if (state !== 'idle') throw new TypeError('This bus has a consumer already');
      state = 'starting';
      let left: readonly InboundMessage[];
      try {
        left = await store.listInbox();
      } catch (error) {
        state = 'idle';
        throw error;
      }
      if (isClosed()) return;
      consumer = newConsumer;
      state = 'live';
      for (const message of left) deliver(message, !waiting.has(message.id));
      for (const { message, stored } of waiting.values()) if (stored) deliver(message, false);
    },

    async [Symbol.asyncDispose]() {
      if (isClosed()) return;
      state = 'closed';
      consumer = undefined;
      waiting.clear();
      if (done.length > 0) await store.removeInbox(done);
    },
  };
}
