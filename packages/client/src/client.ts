/**
 * A client of the gateway that stays connected: calls, conversations and watched sessions over one
 * socket, which is opened again when it is lost. Conversations survive that without losing or
 * repeating an event; a plain call that was cut is reported, since it may have taken effect.
 */
import type { MethodName, MethodParams, MethodResult, StreamEvent } from '@exoclaw/protocol';
import { streamChat, type ChatRequest } from './chat.ts';
import { ExoclawClientError } from './error.ts';
import { openLink, toClientError, type Link } from './link.ts';
import { orAborted, sleep } from './wait.ts';
import { streamSession } from './watch.ts';

export interface ConnectOptions {
  /** Of the gateway: `http://127.0.0.1:7200` or the WebSocket itself, `wss://…/ws`. */
  readonly url: string;
  readonly token?: string;
  /** Ends the attempt to connect; once connected, use `close()`. */
  readonly signal?: AbortSignal;
  /**
   * Whether to connect again when the connection is lost, and how long to wait before each try, in
   * milliseconds; the last one repeats. Default: 500 to 15,000. False: the client is closed then.
   */
  readonly reconnect?: boolean | readonly number[];
}

export type ClientState =
  | { readonly status: 'connected'; readonly version: string; readonly demo: boolean }
  | { readonly status: 'reconnecting'; readonly attempt: number; readonly delayMs: number }
  /** For good; with the reason when it was not `close()`. */
  | { readonly status: 'closed'; readonly error: ExoclawClientError | undefined };

const BACK_OFF_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
/** Each wait is up to this part longer, so that not all clients come back at once. */
const JITTER = 0.25;
const CLOSE_GRACE_MS = 1_000;

/**
 * Connects to a gateway.
 * @throws {ExoclawClientError} unreachable, auth_failed
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { token, reconnect = true } = options;
  const url = toSocketUrl(options.url);
  const closing = new AbortController();
  const signal = AbortSignal.any([closing.signal, ...(options.signal ? [options.signal] : [])]);
  try {
    const link = await openLink({ url, token, signal });
    const backOffMs = reconnect === true ? BACK_OFF_MS : reconnect || [];
    return new Client(link, { url, token, backOffMs, closing });
  } catch (error) {
    if (error instanceof ExoclawClientError && error.code === 'connection_lost') {
      const message = `No gateway took the connection at ${options.url}; start it with "exoclaw gateway"`;
      throw new ExoclawClientError('unreachable', message, { cause: error });
    }
    throw error;
  }
}

export class Client implements AsyncDisposable {
  readonly #options: {
    readonly url: string;
    readonly token: string | undefined;
    readonly backOffMs: readonly number[];
    readonly closing: AbortController;
  };
  #link: Link;
  #state: ClientState;
  #changed = Promise.withResolvers<void>();
  #hurry: (() => void) | undefined;

  /** Use `connect()`. */
  constructor(
    link: Link,
    options: {
      readonly url: string;
      readonly token: string | undefined;
      readonly backOffMs: readonly number[];
      readonly closing: AbortController;
    },
  ) {
    this.#options = options;
    this.#link = link;
    this.#state = toConnected(link);
    void this.#keepConnected(link);
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The state now and each one after it, up to `closed`; a slow reader skips to the newest. */
  async *states(): AsyncGenerator<ClientState, void, void> {
    let last: ClientState | undefined;
    while (last?.status !== 'closed') {
      if (this.#state === last) await this.#changed.promise;
      last = this.#state;
      yield last;
    }
  }

  /**
   * Calls a method that answers at once; waits for a connection when there is none.
   * @throws {ExoclawClientError} what the gateway answered, connection_lost, closed.
   */
  async call<Name extends MethodName>(
    method: Name,
    params: MethodParams<Name>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<MethodResult<Name>> {
    const link = await this.#findLink(options.signal);
    const answer = Promise.withResolvers<MethodResult<Name>>();
    const id = link.request(method, params, {
      onFrame: (frame) => {
        // The gateway checks its results against the same table.
        if ('result' in frame) answer.resolve(frame['result'] as MethodResult<Name>);
        else answer.reject(toClientError(frame));
      },
      onLost: answer.reject,
    });
    try {
      return await orAborted(answer.promise, options.signal);
    } finally {
      link.forget(id);
    }
  }

  /**
   * Sends a message and gives the events that answer it, to their `done`. A lost connection is
   * picked up where it was. Leaving the loop, or the signal, stops the run; what was written so
   * far stays in history.
   * @throws {ExoclawClientError} when the message was refused, or the client was closed.
   */
  chat(
    request: ChatRequest,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterable<StreamEvent> {
    return streamChat((wait) => this.#findLink(wait), request, options.signal);
  }

  /**
   * The events of every run of a session, from the one that is going on, until the loop is left or
   * the signal aborted. After a reconnect, runs that ended meanwhile are in `chat.history`.
   */
  watch(
    session: string,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterable<StreamEvent> {
    return streamSession((wait) => this.#findLink(wait), session, options.signal);
  }

  /** Tries to connect now instead of after the rest of the wait. */
  retryNow(): void {
    this.#hurry?.();
  }

  close(): void {
    if (this.#state.status === 'closed') return;
    this.#set({ status: 'closed', error: undefined });
    this.#options.closing.abort(new ExoclawClientError('closed', 'The client was closed'));
    this.#link.close();
  }

  /** Closes, and waits a moment for the gateway to have noticed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await orAborted(this.#link.lost, AbortSignal.timeout(CLOSE_GRACE_MS)).catch(() => undefined);
  }

  /** The live link, as soon as there is one. @throws {ExoclawClientError} closed */
  async #findLink(signal: AbortSignal | undefined): Promise<Link> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#state.status === 'closed') {
        throw this.#state.error ?? new ExoclawClientError('closed', 'The client was closed');
      }
      if (!this.#link.isLost) return this.#link;
      await orAborted(this.#changed.promise, signal);
    }
  }

  #set(state: ClientState): void {
    this.#state = state;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #keepConnected(first: Link): Promise<void> {
    for (let link: Link | undefined = first; link !== undefined;) {
      const reason = await link.lost;
      if (this.#state.status === 'closed') return;
      link = await this.#reconnect(reason);
      if (link === undefined) return;
      this.#link = link;
      this.#set(toConnected(link));
    }
  }

  /** A new link; undefined when there will be none, with the state saying why. */
  async #reconnect(lost: ExoclawClientError): Promise<Link | undefined> {
    const { url, token, backOffMs, closing } = this.#options;
    let reason = lost;
    for (let attempt = 1; ; attempt += 1) {
      const baseMs = backOffMs[Math.min(attempt, backOffMs.length) - 1];
      if (baseMs === undefined || reason.code === 'auth_failed') {
        this.#set({ status: 'closed', error: reason });
        return undefined;
      }
      const delayMs = baseMs * (1 + Math.random() * JITTER);
      this.#set({ status: 'reconnecting', attempt, delayMs });
      try {
        const hurry = new AbortController();
        this.#hurry = () => hurry.abort();
        await sleep(delayMs, AbortSignal.any([closing.signal, hurry.signal])).catch(() =>
          closing.signal.throwIfAborted(),
        );
        const link = await openLink({ url, token, signal: closing.signal });
        if (!closing.signal.aborted) return link;
        link.close();
        return undefined;
      } catch (error) {
        if (closing.signal.aborted) return undefined;
        if (!(error instanceof ExoclawClientError)) throw error;
        reason = error;
      }
    }
  }
}

function toConnected({ hello }: Link): ClientState {
  return { status: 'connected', version: hello.version, demo: hello.demo ?? false };
}

function toSocketUrl(text: string): string {
  const url = new URL(text);
  url.protocol = url.protocol.replace('http', 'ws');
  if (url.pathname === '/') url.pathname = '/ws';
  return url.href;
}
