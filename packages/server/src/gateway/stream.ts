/**
 * One open stream of a connection: the events that answer one request. It sees to it that exactly
 * one `done` is the last of them, and that nothing is sent before it was opened or after it ended.
 */
import type { RequestId, RpcRequest, StreamEvent, WireError } from '@exoclaw/protocol';

/** Where frames leave. */
export interface Outlet {
  send(frame: string): void;
  /**
   * Lets what was sent leave, when much of it waits: a patient caller until it has left, any other
   * just long enough for a client that reads to have read. Undefined when nothing needs to.
   */
  settle(isPatient: boolean): Promise<void> | undefined;
}

export class Stream {
  /** Of the request; undefined for a notification, whose stream is silent. */
  readonly id: RequestId | null | undefined;
  readonly #outlet: Outlet;
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #abort = new AbortController();
  #state: 'idle' | 'open' | 'ended' = 'idle';
  #failure: WireError | undefined;
  #onAbort: (() => boolean) | undefined;

  constructor({ dialect, id }: Pick<RpcRequest, 'dialect' | 'id'>, outlet: Outlet) {
    this.id = id;
    this.#outlet = outlet;
    const head = `"id":${JSON.stringify(id ?? null)},`;
    const isPlain = dialect === 'plain';
    this.#prefix = isPlain
      ? `{${head}`
      : `{"jsonrpc":"2.0","method":"chat.event","params":{${head}`;
    this.#suffix = isPlain ? '' : '}';
  }

  /** Aborted when nobody listens any more. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isOpen(): boolean {
    return this.#state !== 'idle';
  }

  /** The `error` event that was sent, if one was. */
  get failure(): WireError | undefined {
    return this.#failure;
  }

  /** From here on a failure is an event of the stream, not a failure of the request. */
  open(): void {
    if (this.#state === 'idle') this.#state = 'open';
  }

  emit(event: StreamEvent): void {
    if (this.#state !== 'open') return;
    if (event.event === 'done') this.#state = 'ended';
    if (event.event === 'error') this.#failure = { code: event.code, message: event.data };
    if (this.id === undefined) return;
    // The id is written once per stream, not once per event; the rest is as `toEventFrame` has it.
    this.#outlet.send(this.#prefix + JSON.stringify(event).slice(1) + this.#suffix);
  }

  /** To be awaited between events: keeps a burst from looking like a slow client. */
  settle(isPatient: boolean): Promise<void> | undefined {
    return this.#outlet.settle(isPatient);
  }

  /** Sends the `done` that is still owed. */
  end(): void {
    this.emit({ event: 'done' });
  }

  /** What `chat.abort` of this stream does instead of ending only the stream. */
  onAbort(handler: () => boolean): void {
    this.#onAbort = handler;
  }

  /** On behalf of the client. @returns whether there was anything to stop. */
  abort(): boolean {
    if (this.#state === 'ended') return false;
    if (this.#onAbort !== undefined) return this.#onAbort();
    this.detach();
    return true;
  }

  /** Stops listening; a run that is listened to goes on. */
  detach(): void {
    this.#abort.abort();
  }
}
