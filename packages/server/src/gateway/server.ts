/**
 * The gateway: one port for HTTP and WebSocket. It refuses to be reachable from outside without a
 * token, checks Host and Origin before anything else, and closes without cutting a run: a run
 * belongs to its session, not to a socket.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CLOSE } from '@exoclaw/protocol';
import { WebSocketServer } from 'ws';
import { ExoclawError, isSystemError, toMessage } from '../lib/error.ts';
import { TaskGroup } from '../lib/tasks.ts';
import { Authenticator } from './auth.ts';
import { Connection, type Hub } from './connection.ts';
import { GatewayContext } from './context.ts';
import { handleHttp, type HttpRoutes } from './http.ts';
import { createHandlers } from './methods/table.ts';
import type { GatewayOptions } from './options.ts';
import { checkOrigin, isLoopback } from './origin.ts';
import { Registry } from './registry.ts';
import { refuseUpgrade } from './reply.ts';
import { Rpc } from './rpc.ts';
import { Webhooks } from './webhook.ts';

/** A client has this long to send its headers, and its whole request (slow-sending attacks). */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const TIMEOUT_CHECK_MS = 2_000;
/** TCP connections besides the WebSockets: health checks, webhooks, handshakes. */
const SPARE_SOCKETS = 1_024;
/** How long clients have to answer the closing handshake. */
const CLOSE_GRACE_MS = 1_000;

export interface Gateway extends AsyncDisposable {
  /** Where it can be reached, such as `http://127.0.0.1:7200`. */
  readonly url: string;
  readonly port: number;
  readonly connections: number;
  /** From now on `/ready` is 503 and no new socket is taken; what is open goes on. */
  drain(): void;
}

/**
 * Starts to listen.
 * @throws {ExoclawError} config_error when the bind needs a token, or the port can't be had.
 */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  if (!isLoopback(options.bind) && options.token === undefined) {
    throw new ExoclawError(
      'config_error',
      `Will not listen on "${options.bind}" without a token: set EXOCLAW_TOKEN, or bind to 127.0.0.1`,
    );
  }
  const server = createServer({
    maxHeaderSize: options.limits.headerBytes,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  });
  server.maxConnections = options.limits.maxConnections + SPARE_SOCKETS;
  const port = await listen(server, options);
  return new HttpGateway(server, port, options);
}

class HttpGateway implements Gateway {
  readonly port: number;
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #hub: Hub;
  readonly #stop = new AbortController();

  constructor(server: Server, port: number, options: GatewayOptions) {
    const { limits, clock, log } = options;
    const signal = this.#stop.signal;
    const context = new GatewayContext(options);
    const tasks = new TaskGroup((task, error) => log.error({ err: error, task }, 'task failed'));
    const auth = new Authenticator(options.token, clock);
    const rpc = new Rpc(createHandlers(context), context);
    const { pingSeconds, authSeconds } = limits;
    const registry = new Registry<Connection>({ pingSeconds, authSeconds, clock, tasks, signal });
    this.#hub = { context, rpc, auth, registry, tasks, signal };
    this.#server = server;
    this.port = port;
    this.url = `http://${options.bind.includes(':') ? `[${options.bind}]` : options.bind}:${port}`;
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.frameBytes,
    });
    const routes: HttpRoutes = {
      context,
      auth,
      webhooks: new Webhooks(context, signal),
      checkOrigin: (request) => this.#checkOrigin(request),
    };
    server.on('request', (request, response) => {
      tasks.run('answer a request', () => handleHttp(routes, request, response));
    });
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  get connections(): number {
    return this.#hub.context.connectionCount;
  }

  drain(): void {
    this.#hub.context.draining = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drain();
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#hub.registry) {
      connection.close(CLOSE.goingAway, 'the gateway is closing');
    }
    // Ends the waits of webhooks, so that their calls are answered before the sockets go.
    this.#stop.abort();
    const grace = AbortSignal.timeout(CLOSE_GRACE_MS);
    await Promise.race([Promise.all([closed, this.#hub.tasks.idle()]), once(grace, 'abort')]);
    for (const connection of this.#hub.registry) connection.terminate();
    this.#server.closeAllConnections();
    await closed;
    await this.#hub.tasks.idle();
  }

  #checkOrigin(request: IncomingMessage): string | undefined {
    const { bind, allowedOrigins, allowedHosts } = this.#hub.context.options;
    return checkOrigin(request.headers, { bind, port: this.port, allowedOrigins, allowedHosts });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until the WebSocket takes over, a reset by the client has nobody else to go to.
    const ignore = () => undefined;
    socket.on('error', ignore);
    const address = request.socket.remoteAddress ?? '';
    const refusal = this.#refuse(request, address);
    if (refusal !== undefined) {
      const [status, message] = refusal;
      this.#hub.context.metrics.count('exoclaw_refused_upgrades_total', { status: String(status) });
      refuseUpgrade(socket, status, message);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off('error', ignore);
      new Connection(this.#hub, webSocket, socket, address).start();
    });
  }

  #refuse(
    request: IncomingMessage,
    address: string,
  ): readonly [status: number, message: string] | undefined {
    const { context, auth } = this.#hub;
    const origin = this.#checkOrigin(request);
    if (origin !== undefined) return [403, origin];
    if (request.url?.split('?', 1)[0] !== '/ws') return [404, 'The WebSocket is at /ws'];
    if (auth.isRefused(address)) return [429, 'Too many wrong tokens; try again in a minute'];
    if (context.draining) return [503, 'The gateway is shutting down; try again soon'];
    if (context.connectionCount >= context.options.limits.maxConnections) {
      return [503, 'Too many connections; try again later'];
    }
    return undefined;
  }
}

async function listen(server: Server, { bind, port }: GatewayOptions): Promise<number> {
  try {
    server.listen({ host: bind, port });
    await once(server, 'listening');
  } catch (error) {
    throw toListenError(error, bind, port);
  }
  return (server.address() as AddressInfo).port;
}

function toListenError(error: unknown, bind: string, port: number): ExoclawError {
  const change = 'choose another with --port, or `port` under [gateway]';
  if (isSystemError(error, 'EADDRINUSE')) {
    return new ExoclawError(
      'config_error',
      `Port ${port} is in use, perhaps by another gateway: stop that one, or ${change}`,
      { cause: error },
    );
  }
  if (isSystemError(error, 'EACCES')) {
    return new ExoclawError(
      'config_error',
      `Port ${port} may not be used by this user: ${change}`,
      {
        cause: error,
      },
    );
  }
  if (isSystemError(error, 'EADDRNOTAVAIL') || isSystemError(error, 'ENOTFOUND')) {
    return new ExoclawError(
      'config_error',
      `"${bind}" is no address of this machine: change --bind, or \`bind\` under [gateway]`,
      { cause: error },
    );
  }
  return new ExoclawError('config_error', `Cannot listen on "${bind}": ${toMessage(error)}`, {
    cause: error,
  });
}
