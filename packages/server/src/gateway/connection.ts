/**
 * One client socket: handshake, then requests, until either side closes. Its runs outlive it.
 *
 * Ten thousand of these may be idle, so a connection has a few fields and no timer; what only a
 * busy one needs is made when it is first used. Frames leave in the order of `send`. A client that does not read is closed, not waited for.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { authFrame, CLOSE, PROTOCOL_VERSION, type WireError } from '@exoclaw/protocol';
import type { RawData, WebSocket } from 'ws';
import { ExoclawError } from '../lib/error.ts';
import type { TaskGroup } from '../lib/tasks.ts';
import type { Authenticator, Principal } from './auth.ts';
import type { GatewayContext } from './context.ts';
import { takeToken, type Bucket } from './limiter.ts';
import type { Member, Registry } from './registry.ts';
import type { Caller, Rpc } from './rpc.ts';
import type { Stream } from './stream.ts';

/** What all connections of a gateway share. */
export interface Hub {
  readonly context: GatewayContext;
  readonly rpc: Rpc;
  readonly auth: Authenticator;
  readonly registry: Registry<Connection>;
  readonly tasks: TaskGroup;
  /** Aborted when the gateway closes. */
  readonly signal: AbortSignal;
}

/** A client that takes nothing at all for this long is slow, however patient the stream. */
const STALL_MS = 10_000;

const AUTH_FAILED = JSON.stringify({ error: 'auth_failed', code: CLOSE.authFailed });

export class Connection implements Caller, Member {
  readonly #hub: Hub;
  readonly #socket: WebSocket;
  readonly #wire: Duplex;
  readonly #address: string;
  readonly #leave: () => void;
  #principal: Principal | undefined;
  #bucket: Bucket | undefined;
  #streams: Set<Stream> | undefined;
  #inFlight = 0;
  #isAlive = true;
  #isCorked = false;
  /** Set once the connection is on its way out: what still comes in is not looked at. */
  #isLeaving = false;

  /** @param wire The socket under the WebSocket. */
  constructor(hub: Hub, socket: WebSocket, wire: Duplex, address: string) {
    this.#hub = hub;
    this.#socket = socket;
    this.#wire = wire;
    this.#address = address;
    this.#leave = hub.registry.add(this);
    hub.context.connectionCount += 1;
    socket.on('message', (data, isBinary) => this.#receive(data, isBinary));
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    // An `error` is always followed by `close`; the reason is the client's and known to it.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#detach());
  }

  /** Greets a client that needs no token, and waits for the token of any other. */
  start(): void {
    const { auth, registry } = this.#hub;
    this.#principal = auth.anonymous;
    if (this.#principal === undefined) registry.awaitToken(this);
    else this.#greet();
  }

  get principal(): Principal {
    if (this.#principal === undefined) throw new ExoclawError('auth_failed', 'Send a token first');
    return this.#principal;
  }

  get streams(): Set<Stream> {
    this.#streams ??= new Set();
    return this.#streams;
  }

  enter(): void {
    const { limits, clock } = this.#hub.context.options;
    this.#bucket ??= { tokens: limits.requestsPerMinute, atMs: clock.now() };
    if (!takeToken(this.#bucket, limits.requestsPerMinute, clock.now())) {
      throw new ExoclawError(
        'rate_limited',
        `Too many requests on this connection (${limits.requestsPerMinute} a minute); slow down`,
      );
    }
    if (this.#inFlight >= limits.inFlight) {
      throw new ExoclawError(
        'rate_limited',
        `${limits.inFlight} requests of this connection are open; wait for one to end`,
      );
    }
    this.#inFlight += 1;
  }

  leave(): void {
    this.#inFlight -= 1;
  }

  send(frame: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    // What waits is compared, not what is added: one large answer is no sign of a slow client.
    if (this.#socket.bufferedAmount > this.#hub.context.options.limits.outboundBytes) {
      this.#closeSlow();
      return;
    }
    // The first frame of a tick leaves at once, what follows it in the same tick in one write.
    this.#socket.send(frame);
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#wire.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      this.#wire.uncork();
    });
  }

  settle(isPatient: boolean): Promise<void> | undefined {
    if (this.#socket.bufferedAmount <= this.#softLimit) return undefined;
    return isPatient ? this.#drain() : setImmediate();
  }

  beat(): void {
    if (!this.#isAlive) {
      this.#socket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#socket.ping();
  }

  expire(): void {
    this.#refuse();
  }

  /** Ends the connection; its runs go on. */
  close(code: number, reason: string): void {
    this.#isLeaving = true;
    this.#socket.close(code, reason);
    this.#endStreams();
  }

  /** Ends the connection without the closing handshake. */
  terminate(): void {
    this.#socket.terminate();
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#isAlive = true;
    if (this.#isLeaving) return;
    if (this.#principal === undefined) {
      this.#authenticate(isBinary ? undefined : data);
    } else if (isBinary) {
      this.#sendError({
        code: 'invalid_request',
        message: 'Binary frames are not supported; send text',
      });
      this.close(CLOSE.unsupportedData, 'binary frames are not supported');
    } else {
      const text = toText(data);
      const token = readToken(text);
      if (token === undefined) void this.#hub.rpc.handle(text, this);
      else if (this.#hub.auth.verify(token, this.#address) === undefined) this.#refuse();
      else this.#greet();
    }
  }

  #authenticate(data: RawData | undefined): void {
    const { auth, registry, context } = this.#hub;
    const isInTime = registry.stopAwaiting(this);
    const token = data === undefined ? undefined : readToken(toText(data));
    this.#principal =
      token === undefined || !isInTime ? undefined : auth.verify(token, this.#address);
    if (this.#principal !== undefined) {
      this.#greet();
      return;
    }
    if (token !== undefined) context.metrics.count('exoclaw_auth_failures_total');
    this.#refuse();
  }

  /** Answers `auth_failed`, later and later for an address that keeps guessing. */
  #refuse(): void {
    const { auth, context, tasks, signal } = this.#hub;
    this.#isLeaving = true;
    const delayMs = auth.getDelayMs(this.#address);
    const refuse = () => {
      if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(AUTH_FAILED);
      this.close(CLOSE.authFailed, 'auth_failed');
    };
    if (delayMs === 0) {
      refuse();
      return;
    }
    tasks.run('refuse a token', async () => {
      // A gateway that closes does not wait: the socket is closed with the others.
      await context.options.clock.sleep(delayMs, { signal }).catch(() => undefined);
      refuse();
    });
  }

  get #softLimit(): number {
    return this.#hub.context.options.limits.outboundBytes / 4;
  }

  /** Resolves when little waits to be sent, or the connection is over. */
  async #drain(): Promise<void> {
    const { clock } = this.#hub.context.options;
    while (!this.#isLeaving && this.#socket.bufferedAmount > this.#softLimit) {
      const before = this.#socket.bufferedAmount;
      const settled = new AbortController();
      const { signal } = settled;
      const outcome = await Promise.race([
        once(this.#wire, 'drain', { signal }).then(() => 'drained' as const),
        once(this.#wire, 'close', { signal }).then(() => 'closed' as const),
        clock.sleep(STALL_MS, { signal }).then(() => 'stalled' as const),
      ]);
      settled.abort();
      if (outcome === 'closed') return;
      if (outcome === 'stalled' && this.#socket.bufferedAmount >= before) this.#closeSlow();
    }
  }

  #closeSlow(): void {
    this.#hub.context.metrics.count('exoclaw_slow_consumers_total');
    this.close(CLOSE.slowConsumer, 'slow consumer');
  }

  #greet(): void {
    const { instanceId, options } = this.#hub.context;
    const { version, demo } = options;
    this.send(
      JSON.stringify({ ok: true, version, protocol: PROTOCOL_VERSION, demo, instance: instanceId }),
    );
  }

  #sendError(error: WireError): void {
    this.send(JSON.stringify({ id: '0', error: error.message, code: error.code }));
  }

  #detach(): void {
    this.#isLeaving = true;
    this.#leave();
    this.#hub.context.connectionCount -= 1;
    this.#endStreams();
  }

  #endStreams(): void {
    for (const stream of this.#streams ?? []) stream.detach();
  }
}

function toText(data: RawData): string {
  if (data instanceof ArrayBuffer) return Buffer.from(data).toString();
  return Array.isArray(data) ? Buffer.concat(data).toString() : data.toString();
}

/** The token of a `{"token":"…"}` frame; undefined when it is another frame, or no frame at all. */
function readToken(text: string): string | undefined {
  if (!text.includes('"token"')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const isRequest = typeof value === 'object' && value !== null && 'method' in value;
  const parsed = isRequest ? undefined : authFrame.safeParse(value);
  return parsed?.success === true ? parsed.data.token : undefined;
}
