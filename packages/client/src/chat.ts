/**
 * One message and its answer, across as many connections as it takes. Until the gateway has said
 * `accepted`, the message is sent again under the same id; after that its run is resumed behind
 * the last event seen. A gateway that was started anew counts events anew: then the answer is
 * taken from its start, after a `restart` that tells the reader to drop what it has.
 */
import type { EventData, StreamEvent } from '@exoclaw/protocol';
import type { Link } from './link.ts';
import { Subscription, type FindLink } from './subscription.ts';

export interface ChatRequest {
  readonly channel: string;
  readonly account: string;
  /** Who speaks; default `main`. */
  readonly peer?: string;
  readonly guild?: string;
  readonly team?: string;
  /** Default: as the bindings say. */
  readonly agent?: string;
  readonly content: string;
  /** Sending the same id again never runs the message twice. Default: a random one. */
  readonly messageId?: string;
}

/** The events of a chat; see `Client.chat`. */
export async function* streamChat(
  findLink: FindLink,
  { messageId, ...address }: ChatRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamEvent, void, void> {
  const message = { ...address, message_id: messageId ?? crypto.randomUUID(), ack: true };
  const progress = new Progress();
  let stop: (() => void) | undefined;
  let isDone = false;
  let isResumable = true;
  try {
    while (!isDone) {
      const link = await findLink(signal);
      progress.meet(link.hello.instance);
      const run = isResumable ? progress.accepted : undefined;
      const subscription =
        run === undefined
          ? new Subscription(link, 'chat.send', message)
          : new Subscription(link, 'chat.resume', {
              session: run.session,
              run: run.run,
              after: progress.after,
            });
      stop = () => stopRun(link, run === undefined ? subscription.id : undefined, message);
      for await (const event of subscription.events(signal)) {
        isDone = event.event === 'done';
        yield* progress.take(event);
      }
      const { interruption } = subscription;
      if (interruption?.kind !== 'refused') continue;
      // A gateway that no longer knows the run still knows the message.
      if (run === undefined || interruption.error.code !== 'not_found') throw interruption.error;
      isResumable = false;
      progress.beginAgain();
    }
  } finally {
    if (!isDone) stop?.();
  }
}

/** What the reader has got so far. */
class Progress {
  accepted: EventData<'accepted'> | undefined;
  /** Number of the last event that was given out. */
  after = 0;
  #instance: string | undefined;
  #attempt = 1;
  #owesRestart = false;

  /** Notes which gateway process counts the events from here on. */
  meet(instance: string | undefined): void {
    if (this.#instance !== undefined && this.#instance !== instance) this.beginAgain();
    this.#instance = instance;
  }

  /** What comes next is told from its start. */
  beginAgain(): void {
    if (this.after > 0) this.#owesRestart = true;
    this.after = 0;
  }

  /** The event if it is new, with a `restart` in front when the reader has to begin again. */
  *take(event: StreamEvent): Generator<StreamEvent, void, void> {
    if (event.event === 'accepted') {
      if (this.accepted === undefined) yield event;
      this.accepted = event.data;
      return;
    }
    if (event.seq !== undefined && event.seq <= this.after) return;
    this.after = event.seq ?? this.after;
    if (event.event === 'restart') this.#attempt = event.data.attempt;
    else if (this.#owesRestart) yield { event: 'restart', data: { attempt: this.#attempt } };
    this.#owesRestart = false;
    yield event;
  }
}

/**
 * `chat.abort` takes the id of a `chat.send` of the same connection. Where the run was only
 * resumed, the message is sent once more, which finds that run and starts none.
 */
function stopRun(
  link: Link,
  sendId: string | undefined,
  message: Readonly<Record<string, unknown>>,
): void {
  if (link.isLost) return;
  link.notify('chat.abort', { id: sendId ?? link.notify('chat.send', message) });
}
