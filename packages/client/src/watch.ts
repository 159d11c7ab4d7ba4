/**
 * A session as another tab or device sees it, across reconnects. A new watch starts with the run
 * that is going on from its beginning, so what was seen of that run is left out.
 */
import type { StreamEvent } from '@exoclaw/protocol';
import { ExoclawClientError } from './error.ts';
import type { Link } from './link.ts';
import { Subscription, type FindLink } from './subscription.ts';

/** The events of a session; see `Client.watch`. */
export async function* streamSession(
  findLink: FindLink,
  session: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamEvent, void, void> {
  const seen = new SeenEvents();
  let open: { readonly link: Link; readonly id: string } | undefined;
  try {
    for (;;) {
      const link = await findLink(signal);
      const subscription = new Subscription(link, 'session.watch', { session });
      open = { link, id: subscription.id };
      seen.reconnect(link.hello.instance);
      for await (const event of subscription.events(signal)) {
        if (event.event === 'done') return;
        yield* seen.filter(event);
      }
      const { interruption } = subscription;
      if (interruption?.kind === 'refused') throw interruption.error;
      if (interruption?.kind === 'overflow') {
        throw new ExoclawClientError('overflow', 'Events came faster than they were read');
      }
    }
  } finally {
    if (open?.link.isLost === false) open.link.notify('chat.abort', { id: open.id });
  }
}

class SeenEvents {
  #run: string | undefined;
  #after = 0;
  #instance: string | undefined;
  #isAnew = false;

  reconnect(instance: string | undefined): void {
    this.#isAnew = this.#instance !== undefined && this.#instance !== instance;
    this.#instance = instance;
  }

  /** The event if it is new, with a `restart` in front when a run is told from its start again. */
  *filter(event: StreamEvent): Generator<StreamEvent, void, void> {
    const seq = event.seq ?? 0;
    if (event.event === 'message') {
      const isSame = event.data.run === this.#run;
      if (!isSame) this.#after = 0;
      if (isSame && this.#isAnew) {
        yield { event: 'restart', data: { attempt: 1 } };
        // The message itself was seen, however it is numbered now.
        this.#after = seq;
      }
      this.#run = event.data.run;
      this.#isAnew = false;
    }
    if (seq <= this.#after) return;
    this.#after = seq;
    yield event;
  }
}
