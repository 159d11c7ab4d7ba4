/**
 * `fetch` for provider calls, over `node:http` with kept-alive connections: less CPU per streamed
 * chunk than the global one, and a connect time-out on the injected clock. It does what the AI SDK
 * needs and no more: a POST with a text body, no redirects (a key must not follow one), no
 * compression. Bodies are read no faster than they are consumed, and up to a limit.
 */
import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../lib/clock.ts';
import { LlmTimeout } from './failure.ts';

export interface HttpFetchOptions {
  readonly clock: Clock;
  readonly connectMs: number;
  /** Largest response; default 32 MiB. */
  readonly maxBytes?: number;
}

/** How long a cancelled response may still run to its end, which keeps its connection usable. */
const DRAIN_MS = 1000;

/** The returned function rejects and errors as `fetch` does, with Node's own system errors. */
export function createHttpFetch(options: HttpFetchOptions): typeof fetch {
  const agents = {
    'http:': new http.Agent({ keepAlive: true, scheduling: 'lifo' }),
    'https:': new https.Agent({ keepAlive: true, scheduling: 'lifo' }),
  };
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const secure = url.protocol === 'https:';
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const request = (secure ? https : http).request(url, {
      method: init.method ?? 'GET',
      agent: secure ? agents['https:'] : agents['http:'],
      headers: toPlainHeaders(init.headers),
    });
    const signal = init.signal ?? undefined;
    const onAbort = (): void => {
      request.destroy(toError(signal?.reason));
    };
    request.on('error', reject);
    request.on('close', () => signal?.removeEventListener('abort', onAbort));
    limitConnect(request, secure, options);
    request.on('response', (message) => {
      const body = toBody(message, options);
      resolve(
        new Response(body, {
          status: message.statusCode ?? 0,
          statusText: message.statusMessage ?? '',
          headers: toHeaders(message),
        }),
      );
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    request.end(init.body);
    return promise;
  };
}

/** Destroys a request whose connection does not stand in time. */
function limitConnect(
  request: http.ClientRequest,
  secure: boolean,
  { clock, connectMs }: HttpFetchOptions,
): void {
  request.once('socket', (socket) => {
    if (!socket.connecting) return;
    const connected = new AbortController();
    const stop = (): void => connected.abort();
    socket.once(secure ? 'secureConnect' : 'connect', stop);
    socket.once('close', stop);
    void clock.sleep(connectMs, { signal: connected.signal }).then(
      () => request.destroy(new LlmTimeout(`no connection within ${connectMs / 1000} s`)),
      // Connected, or failed by itself.
      () => undefined,
    );
  });
}

function toBody(message: http.IncomingMessage, options: HttpFetchOptions): ReadableStream {
  const maxBytes = options.maxBytes ?? 32 * 1024 * 1024;
  let received = 0;
  let open = true;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const fail = (error: Error): void => {
        if (open) controller.error(error);
        open = false;
      };
      message.on('data', (chunk: Uint8Array) => {
        if (!open) return;
        received += chunk.byteLength;
        if (received > maxBytes) {
          const error = Object.assign(new Error('Answer too large'), { code: 'EMSGSIZE' });
          fail(error);
          message.destroy(error);
          return;
        }
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) message.pause();
      });
      message.on('end', () => {
        if (open) controller.close();
        open = false;
      });
      message.on('error', fail);
    },
    pull() {
      message.resume();
    },
    cancel() {
      open = false;
      drain(message, options.clock);
    },
  });
}

/** Lets a response end, so that its connection is kept, but not for long. */
function drain(message: http.IncomingMessage, clock: Clock): void {
  if (message.complete || message.destroyed) return;
  const ended = new AbortController();
  message.once('close', () => ended.abort());
  message.resume();
  void clock.sleep(DRAIN_MS, { signal: ended.signal }).then(
    () => message.destroy(),
    // It ended in time.
    () => undefined,
  );
}

/** The SDK gives a plain object already. */
function toPlainHeaders(headers: RequestInit['headers']): Record<string, string> {
  return headers === undefined || headers instanceof Headers || Array.isArray(headers)
    ? Object.fromEntries(new Headers(headers))
    : { ...(headers as Record<string, string>) };
}

function toHeaders(message: http.IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return headers;
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('Aborted', { cause: reason });
}
