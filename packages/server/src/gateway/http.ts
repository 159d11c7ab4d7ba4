/**
 * The HTTP routes: the page, health, metrics and webhooks. Every request passes the Host and
 * Origin checks first. Nothing here tells a stranger more than that a gateway runs, and which
 * version.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authenticator } from './auth.ts';
import type { GatewayContext } from './context.ts';
import type { Gauge } from './metrics.ts';
import { sendError, sendJson, sendPage, sendText } from './reply.ts';
import type { Webhooks } from './webhook.ts';
import { toRpcError } from './wire-error.ts';

const WEBHOOK = /^\/webhook\/([A-Za-z0-9._-]{1,64})$/;

export interface HttpRoutes {
  readonly context: GatewayContext;
  readonly auth: Authenticator;
  readonly webhooks: Webhooks;
  /** Why a request is refused for where it comes from; undefined when it is not. */
  readonly checkOrigin: (request: IncomingMessage) => string | undefined;
}

/** Answers one request; never rejects. */
export async function handleHttp(
  routes: HttpRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await route(routes, request, response);
  } catch (error) {
    sendError(response, toRpcError(error, routes.context.options.log));
  }
}

async function route(
  routes: HttpRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refusal = routes.checkOrigin(request);
  if (refusal !== undefined) {
    sendError(response, { code: 'forbidden', message: refusal });
    return;
  }
  const [path = '/'] = (request.url ?? '/').split('?', 1);
  const channel = WEBHOOK.exec(path)?.[1];
  if (channel !== undefined) {
    await routes.webhooks.handle(channel, request, response);
    return;
  }
  const answer = PAGES.get(path);
  if (answer === undefined) {
    sendJson(response, 404, { error: 'Not found', code: 'not_found' });
  } else if (request.method === 'GET' || request.method === 'HEAD') {
    answer(routes, request, response);
  } else {
    const body = { error: `Use GET for ${path}`, code: 'invalid_request' };
    sendJson(response, 405, body, { allow: 'GET, HEAD' });
  }
}

type Page = (routes: HttpRoutes, request: IncomingMessage, response: ServerResponse) => void;

const PAGES: ReadonlyMap<string, Page> = new Map<string, Page>([
  ['/', ({ context }, _, response) => sendPage(response, context.options)],
  [
    '/health',
    ({ context }, _, response) =>
      sendJson(response, 200, { status: 'ok', version: context.options.version }),
  ],
  ['/ready', ({ context }, _, response) => sendReady(context, response)],
  ['/metrics', sendMetrics],
  [
    '/ws',
    (_routes, _request, response) => {
      const body = {
        error: 'This is a WebSocket: connect to it with ws://',
        code: 'invalid_request',
      };
      sendJson(response, 426, body, { upgrade: 'websocket', connection: 'Upgrade' });
    },
  ],
]);

function sendReady(context: GatewayContext, response: ServerResponse): void {
  if (context.isReady) sendJson(response, 200, { status: 'ready' });
  else sendJson(response, 503, { status: context.draining ? 'draining' : 'starting' });
}

function sendMetrics(
  { context, auth }: HttpRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const address = request.socket.remoteAddress ?? '';
  if (!context.options.metrics) {
    sendError(response, { code: 'not_found', message: 'Metrics are off (telemetry.metrics)' });
  } else if (auth.isRefused(address)) {
    sendError(response, { code: 'rate_limited', message: 'Too many wrong tokens; try later' });
  } else if (auth.verifyBearer(request.headers.authorization, address) === undefined) {
    const message = 'Send the gateway token as "Authorization: Bearer …"';
    sendError(response, { code: 'auth_failed', message }, { 'www-authenticate': 'Bearer' });
  } else {
    const type = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
    sendText(response, 200, context.metrics.render(readGauges(context)), type);
  }
}

function readGauges(context: GatewayContext): readonly Gauge[] {
  const { dispatcher, plugins, clock } = context.options;
  const { rss } = process.memoryUsage();
  return [
    {
      name: 'exoclaw_uptime_seconds',
      help: 'Time since the gateway opened',
      value: (clock.now() - context.startedAtMs) / 1000,
    },
    {
      name: 'exoclaw_connections',
      help: 'Open WebSocket connections',
      value: context.connectionCount,
    },
    { name: 'exoclaw_runs', help: 'Runs going on or queued', value: dispatcher.active },
    {
      name: 'exoclaw_plugins_ready',
      help: 'Plugins that are loaded and ready',
      value: plugins.list().filter(({ state }) => state === 'ready').length,
    },
    {
      name: 'exoclaw_resident_memory_bytes',
      help: 'Memory of the gateway process, without the sandbox processes',
      value: rss,
    },
  ];
}
