/**
 * A local server that answers as the model providers do, for tests: scripted reply by reply, with
 * every way a provider can fail, and with a count of the usage figures it put on the wire, so that
 * a ledger can be compared with it exactly. It never waits by the clock: slow and hanging answers
 * are held by promises that the test resolves.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TokenUsage } from '../src/store/store.ts';
import {
  createWriter,
  toErrorBody,
  type Api,
  type ErrorReply,
  type Stop,
  type ToolCallReply,
} from './provider-formats.ts';

export interface RecordedRequest {
  /** From 1, in order of arrival. */
  readonly number: number;
  readonly api: Api;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly bodyText: string;
  /** Tells connections apart. */
  readonly clientPort: number | undefined;
  /** The last figures sent to the client for this request; undefined until some were. */
  usage: TokenUsage | undefined;
  /** Resolves when the exchange is over; `complete` is false when the client left before the end. */
  readonly closed: Promise<{ readonly complete: boolean }>;
}

export type Step =
  | { readonly text: string }
  | { readonly thinking: string; readonly signature?: string }
  | { readonly toolCall: ToolCallReply }
  | { readonly ping: true }
  /** Bytes of the test's own choice. */
  | { readonly raw: string }
  /** Goes on when the promise resolves. */
  | { readonly wait: Promise<unknown> }
  /** The provider's error event in the middle of a stream; ends it. */
  | { readonly error: { readonly type: string; readonly message: string } }
  /** Ends the response without a word, or, with `reset`, by breaking the connection. */
  | { readonly cut: 'end' | 'reset' }
  /** Says nothing more and keeps the connection open. */
  | { readonly hang: true };

export interface Reply {
  /** Not 200: answered with the provider's error body instead of a stream. */
  readonly status?: number;
  readonly error?: ErrorReply;
  readonly headers?: Readonly<Record<string, string>>;
  /** Holds back even the headers until it resolves. */
  readonly before?: Promise<unknown>;
  readonly steps?: readonly Step[];
  /** Default: `tool-call` when a step calls one, else `stop`. */
  readonly stop?: Stop;
  /** Why it refuses. */
  readonly explanation?: string;
  /** `input` is all input, cache included. Default: by the length of what was received and said. */
  readonly usage?: Partial<TokenUsage>;
}

/** What to answer: a fixed reply, or one made from the request. */
export type Script = Reply | ((request: RecordedRequest) => Reply);

export interface ProviderServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string;
  readonly requests: readonly RecordedRequest[];
  /** Sum of the figures sent so far. */
  readonly totals: TokenUsage;
  /** Queues replies, one per request. */
  script(...replies: readonly Script[]): void;
  /** What requests get when the queue is empty; at first a short text. */
  respond(reply: Script): void;
  /** Resolves with the request of this number, as soon as it has arrived. */
  request(number: number): Promise<RecordedRequest>;
  close(): Promise<void>;
}

const DEFAULT_REPLY: Reply = { steps: [{ text: 'Hello' }, { text: ' from the test provider.' }] };

export async function startProviderServer(): Promise<ProviderServer> {
  const requests: RecordedRequest[] = [];
  const queue: Script[] = [];
  const waiting = new Map<number, PromiseWithResolvers<RecordedRequest>>();
  let standing: Script = DEFAULT_REPLY;

  const server = http.createServer((incoming, response) => {
    void receive(incoming, response).catch(() => response.destroy());
  });

  async function receive(
    incoming: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> {
    const bodyText = await readText(incoming);
    const request = record(incoming, response, bodyText, requests.length + 1);
    if (request === undefined) {
      response.writeHead(404).end();
      return;
    }
    requests.push(request);
    const script = queue.shift() ?? standing;
    const reply = typeof script === 'function' ? script(request) : script;
    waiting.get(request.number)?.resolve(request);
    await answer(request, reply, response);
  }

  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    get totals() {
      return sum(requests);
    },
    script: (...replies) => void queue.push(...replies),
    respond: (reply) => {
      standing = reply;
    },
    request: (number) => {
      const there = requests[number - 1];
      if (there !== undefined) return Promise.resolve(there);
      const waiter = waiting.get(number) ?? Promise.withResolvers<RecordedRequest>();
      waiting.set(number, waiter);
      return waiter.promise;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function record(
  incoming: http.IncomingMessage,
  response: http.ServerResponse,
  bodyText: string,
  number: number,
): RecordedRequest | undefined {
  const path = incoming.url ?? '';
  const api = toApi(path);
  if (api === undefined) return undefined;
  const closed = new Promise<{ complete: boolean }>((resolve) => {
    response.once('close', () => resolve({ complete: response.writableFinished }));
  });
  // The body is JSON of our own client; a test that sends something else is told by the throw.
  const body = JSON.parse(bodyText) as Record<string, unknown>;
  const { headers, socket } = incoming;
  const clientPort = socket.remotePort;
  return { number, api, path, headers, body, bodyText, clientPort, usage: undefined, closed };
}

async function answer(
  request: RecordedRequest,
  reply: Reply,
  response: http.ServerResponse,
): Promise<void> {
  if (reply.before !== undefined) await reply.before;
  const { api } = request;
  const { status = 200, steps = [] } = reply;
  if (status !== 200) {
    const error = reply.error ?? { type: 'api_error', message: 'Scripted failure' };
    const headers = { 'content-type': 'application/json', ...reply.headers };
    response.writeHead(status, headers).end(toErrorBody(api, status, error));
    return;
  }
  const options = request.body['stream_options'] as { include_usage?: boolean } | undefined;
  const writer = createWriter(api, {
    model: toModel(request),
    number: request.number,
    usage: toUsage(reply, request),
    includeUsage: options?.include_usage === true,
    onUsage: (usage) => {
      request.usage = usage;
    },
  });
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', ...reply.headers };
  response.writeHead(200, headers);
  response.flushHeaders();
  response.write(writer.begin());
  for (const step of steps) {
    if ('text' in step) response.write(writer.text(step.text));
    else if ('thinking' in step) response.write(writer.thinking(step.thinking, step.signature));
    else if ('toolCall' in step) response.write(writer.toolCall(step.toolCall));
    else if ('ping' in step) response.write(writer.ping());
    else if ('raw' in step) response.write(step.raw);
    else if ('wait' in step) await step.wait;
    else if ('hang' in step) return;
    else if ('error' in step) {
      response.end(writer.error(step.error.type, step.error.message));
      return;
    } else if ('cut' in step) {
      if (step.cut === 'end') response.end();
      else response.socket?.resetAndDestroy();
      return;
    }
  }
  const called = steps.some((step) => 'toolCall' in step);
  response.end(writer.end(reply.stop ?? (called ? 'tool-call' : 'stop'), reply.explanation));
}

function toApi(path: string): Api | undefined {
  if (path.endsWith('/messages')) return 'anthropic';
  if (path.endsWith('/chat/completions')) return 'openai-chat';
  if (path.endsWith('/responses')) return 'openai-responses';
  return path.includes(':streamGenerateContent') ? 'google' : undefined;
}

function toModel({ body, path }: RecordedRequest): string {
  const { model } = body;
  return typeof model === 'string' ? model : (/models\/([^:]+):/.exec(path)?.[1] ?? 'unknown');
}

/** A token for four characters, as a round figure that differs from request to request. */
function toUsage({ usage, steps = [] }: Reply, { bodyText }: RecordedRequest): TokenUsage {
  return {
    input: Math.ceil(bodyText.length / 4),
    output: Math.max(2, Math.ceil(JSON.stringify(steps).length / 4)),
    cacheRead: 0,
    cacheWrite: 0,
    ...usage,
  };
}

function sum(requests: readonly RecordedRequest[]): TokenUsage {
  const total = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  for (const { usage } of requests) {
    total.input += usage?.input ?? 0;
    total.output += usage?.output ?? 0;
    total.cacheRead += usage?.cacheRead ?? 0;
    total.cacheWrite += usage?.cacheWrite ?? 0;
  }
  return total;
}

async function readText(incoming: http.IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString('utf8');
}
