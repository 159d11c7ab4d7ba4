/**
 * One WebSocket to a gateway, from its handshake to its end: requests go out with an id, and what
 * comes back under that id goes to whoever asked. A link that is lost stays lost; the client opens
 * the next one.
 */
import type { ErrorCode, Hello, StreamEvent } from '@exoclaw/protocol';
import { ExoclawClientError } from './error.ts';
import { orAborted } from './wait.ts';

export type Frame = Readonly<Record<string, unknown>>;

/** Who waits for the frames of one request. */
export interface Listener {
  onFrame(frame: Frame): void;
  /** The link is gone; no more frames come. */
  onLost(error: ExoclawClientError): void;
}

export interface LinkOptions {
  readonly url: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal;
}

const HANDSHAKE_MS = 15_000;
/** With nothing heard for this long the gateway is asked; with no answer the link is given up. */
const SILENCE_MS = 20_000;
const AUTH_FAILED = 4001;
/** How the WebSocket standard writes that a connection ended without a close frame. */
const NO_STATUS = 1006;

const EVENT_NAMES = {
  accepted: true,
  message: true,
  text: true,
  tool_use: true,
  tool_result: true,
  usage: true,
  restart: true,
  end: true,
  error: true,
  done: true,
} as const satisfies Record<StreamEvent['event'], true>;

/** The event of a frame; undefined for one that this version does not know. */
export function toStreamEvent(frame: Frame): StreamEvent | undefined {
  const { id: _, ...event } = frame;
  const isKnown = typeof event['event'] === 'string' && Object.hasOwn(EVENT_NAMES, event['event']);
  // The gateway is the one the user chose to trust; its frames have the shape of the protocol.
  return isKnown ? (event as unknown as StreamEvent) : undefined;
}

/** The error of a failure frame. */
export function toClientError(frame: Frame): ExoclawClientError {
  return new ExoclawClientError(frame['code'] as ErrorCode, String(frame['error']));
}

/**
 * Connects and waits for the gateway's hello.
 * @throws {ExoclawClientError} unreachable, or auth_failed when the token is not accepted.
 */
export async function openLink({ url, token, signal }: LinkOptions): Promise<Link> {
  const socket = new WebSocket(url);
  const greeted = Promise.withResolvers<Hello>();
  socket.addEventListener('open', () => {
    if (token !== undefined) socket.send(JSON.stringify({ token }));
  });
  const onClose = (event: { readonly code: number }) => greeted.reject(toLost(event.code, url));
  socket.addEventListener('close', onClose);
  // An `error` says nothing that the `close` after it does not.
  socket.addEventListener('error', () => onClose({ code: NO_STATUS }));
  const onFirst = (event: MessageEvent) => {
    const frame = readFrame(event.data);
    if (frame?.['ok'] === true) greeted.resolve(frame as unknown as Hello);
    else
      greeted.reject(frame?.['code'] === AUTH_FAILED ? toLost(AUTH_FAILED, url) : toLost(0, url));
  };
  socket.addEventListener('message', onFirst, { once: true });
  try {
    const deadline = AbortSignal.timeout(HANDSHAKE_MS);
    const hello = await orAborted(greeted.promise, AbortSignal.any([signal, deadline]));
    return new Link(socket, hello, url);
  } catch (error) {
    socket.close();
    if (error instanceof ExoclawClientError || signal.aborted) throw error;
    throw new ExoclawClientError('unreachable', `No gateway answered at ${url}`, { cause: error });
  } finally {
    socket.removeEventListener('close', onClose);
  }
}

export class Link {
  readonly hello: Hello;
  /** Resolves with the reason when the link is lost. */
  readonly lost: Promise<ExoclawClientError>;
  readonly #socket: WebSocket;
  readonly #url: string;
  readonly #over = Promise.withResolvers<ExoclawClientError>();
  readonly #listeners = new Map<string, Listener>();
  readonly #timer: ReturnType<typeof setInterval>;
  #isLost = false;
  #lastId = 0;
  #isSilent = false;

  constructor(socket: WebSocket, hello: Hello, url: string) {
    this.hello = hello;
    this.lost = this.#over.promise;
    this.#socket = socket;
    this.#url = url;
    socket.addEventListener('close', (event) => this.#lose(event.code));
    socket.addEventListener('message', (event) => this.#receive(event.data));
    this.#timer = setInterval(() => this.#beat(), SILENCE_MS);
    // An idle client is no reason for a Node process to stay; browsers give a number.
    const timer: { unref?: () => void } | number = this.#timer;
    if (typeof timer === 'object') timer.unref?.();
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Sends a request. @returns its id. */
  request(method: string, params: unknown, listener: Listener): string {
    this.#lastId += 1;
    const id = String(this.#lastId);
    this.#listeners.set(id, listener);
    this.#write({ id, method, params });
    return id;
  }

  /** Sends a request whose answer nobody waits for. @returns its id. */
  notify(method: string, params: unknown): string {
    this.#lastId += 1;
    const id = String(this.#lastId);
    this.#write({ id, method, params });
    return id;
  }

  /** Lets what still comes for a request fall on the floor. */
  forget(id: string): void {
    this.#listeners.delete(id);
  }

  close(): void {
    this.#socket.close(1000);
  }

  #beat(): void {
    if (this.#isSilent) {
      this.#lose(NO_STATUS);
      this.#socket.close();
    } else {
      this.#isSilent = true;
      this.#write({ id: 'heartbeat', method: 'ping' });
    }
  }

  #lose(code: number): void {
    if (this.#isLost) return;
    this.#isLost = true;
    clearInterval(this.#timer);
    const error = toLost(code, this.#url);
    for (const listener of this.#listeners.values()) listener.onLost(error);
    this.#listeners.clear();
    this.#over.resolve(error);
  }

  #write(frame: Frame): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #receive(data: unknown): void {
    this.#isSilent = false;
    const frame = readFrame(data);
    const id = frame?.['id'];
    const listener = typeof id === 'string' ? this.#listeners.get(id) : undefined;
    if (frame === undefined || typeof id !== 'string' || listener === undefined) return;
    if (!('event' in frame) || frame['event'] === 'done') this.#listeners.delete(id);
    listener.onFrame(frame);
  }
}

function readFrame(data: unknown): Frame | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null ? (value as Frame) : undefined;
  } catch {
    return undefined;
  }
}

function toLost(code: number, url: string): ExoclawClientError {
  if (code === AUTH_FAILED) {
    return new ExoclawClientError(
      'auth_failed',
      'The gateway did not accept the token; it is in EXOCLAW_TOKEN on its machine',
    );
  }
  return new ExoclawClientError('connection_lost', `The connection to ${url} was lost (${code})`);
}
