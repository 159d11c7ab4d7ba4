/**
 * The way from "accepted" to a session's lane. `publish` returns when the message is safe; the
 * consumer gets each message at least once, those of one session in order, and says when it is
 * done with one.
 */
import type { InboundMessage } from '../store/store.ts';

export interface Delivery {
  readonly message: InboundMessage;
  /** True when the message was accepted by an earlier process. */
  readonly redelivered: boolean;
  /** Forgets the message. Call it after its run has been committed. */
  ack(): Promise<void>;
}

export type Consumer = (delivery: Delivery) => void;

export interface Bus extends AsyncDisposable {
  describe(): { readonly kind: string };
  /** @returns `duplicate` when a message with this id is waiting or running already. */
  publish(message: InboundMessage): Promise<'accepted' | 'duplicate'>;
  /**
   * Starts deliveries: first what an earlier process left, then what is published. One consumer
   * only; it must not throw.
   */
  consume(consumer: Consumer): Promise<void>;
}
