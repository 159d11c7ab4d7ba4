/**
 * A real gateway on a free port over real sockets, with stand-ins behind it: runs that a test plays
 * by hand, plugins that are functions, and a clock that a test moves.
 */
import { once } from 'node:events';
import { pino } from 'pino';
import { WebSocket, type ClientOptions } from 'ws';
import type { RunEvent } from '../src/agent/events.ts';
import type { GatewayLimits, GatewayOptions } from '../src/gateway/options.ts';
import { openGateway, type Gateway } from '../src/gateway/server.ts';
import { ExoclawError } from '../src/lib/error.ts';
import type { ChannelAdapter, PluginManager } from '../src/plugins/plugins.ts';
import type { Dispatcher, RunHandle, SendRequest } from '../src/router/dispatcher.ts';
import { createRouter, type Router } from '../src/router/router.ts';
import { RunLog } from '../src/router/run-log.ts';
import { Watchers } from '../src/router/watchers.ts';
import type { Store } from '../src/store/store.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';

const LIMITS: GatewayLimits = {
  frameBytes: 2 ** 20,
  inFlight: 64,
  outboundBytes: 4 * 2 ** 20,
  pingSeconds: 30,
  authSeconds: 5,
  requestsPerMinute: 60_000,
  messagesPerMinute: 30_000,
  maxConnections: 20_000,
  webhookBytes: 2 ** 20,
  webhookWaitSeconds: 60,
  headerBytes: 16 * 2 ** 10,
};

const USAGE: RunEvent = {
  type: 'usage',
  usage: { input: 21, output: 8, cacheRead: 5, cacheWrite: 0 },
  costNanoUsd: 183_000,
  estimated: false,
  durationMs: 12,
  context: { soul: 1, facts: 2, recall: 3, window: 4, tools: 5 },
};

/** A run that goes on as the test says. */
export class FakeRun implements RunHandle {
  readonly runId: string;
  readonly sessionKey: string;
  readonly messageId: string;
  readonly request: SendRequest;
  readonly log = new RunLog();

  constructor(runId: string, sessionKey: string, messageId: string, request: SendRequest) {
    this.runId = runId;
    this.sessionKey = sessionKey;
    this.messageId = messageId;
    this.request = request;
  }

  events(options: Parameters<RunHandle['events']>[0]): ReturnType<RunHandle['events']> {
    return this.log.follow(options);
  }

  start(attempt = 1): this {
    this.log.append({ type: 'run-start', content: this.request.content, attempt });
    return this;
  }

  say(...texts: readonly string[]): this {
    for (const text of texts) this.log.append({ type: 'text-delta', text });
    return this;
  }

  add(...events: readonly RunEvent[]): this {
    for (const event of events) this.log.append(event);
    return this;
  }

  end(): this {
    return this.add(USAGE, { type: 'run-end', stopReason: 'stop' });
  }

  fail(code: 'budget_exceeded' | 'provider_error', message: string): this {
    return this.add({ type: 'run-error', code, message }, { type: 'run-end', stopReason: 'error' });
  }
}

export class FakeDispatcher implements Dispatcher {
  readonly runs: FakeRun[] = [];
  readonly sent: SendRequest[] = [];
  readonly #watchers = new Watchers();
  readonly #router: () => Router;
  readonly #waiting = new Set<() => void>();
  /** Plays a run as soon as it is accepted; may throw instead, as a full session would. */
  script: (run: FakeRun) => void = () => undefined;
  /** `send` waits for this, as for a slow disk. */
  gate: Promise<void> = Promise.resolve();

  constructor(router: () => Router) {
    this.#router = router;
  }

  get active(): number {
    return this.runs.filter(({ log }) => !log.ended).length;
  }

  /** The run with this number, as soon as there is one. */
  async run(index = 0): Promise<FakeRun> {
    for (;;) {
      const run = this.runs[index];
      if (run !== undefined) return run;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async send(request: SendRequest): Promise<RunHandle> {
    this.sent.push(request);
    this.#wake();
    await this.gate;
    const { channel, account, peer } = request.address;
    const route = this.#router().resolve(request.address);
    if (route === undefined) {
      throw new ExoclawError('no_agent', `no agent configured for ${channel}:${account}:${peer}`);
    }
    const messageId = request.messageId ?? `msg_${this.runs.length}`;
    const known = this.runs.find(
      (run) => run.messageId === messageId && run.sessionKey === route.sessionKey,
    );
    if (known !== undefined) return known;
    const run = new FakeRun(`run_${this.runs.length}`, route.sessionKey, messageId, request);
    this.script(run);
    this.runs.push(run);
    this.#watchers.announce(run.sessionKey, run);
    this.#wake();
    return run;
  }

  abort(target: { readonly runId: string } | { readonly sessionKey: string }): boolean {
    const run = this.runs.find(
      ({ runId, sessionKey, log }) =>
        !log.ended &&
        ('runId' in target ? runId === target.runId : sessionKey === target.sessionKey),
    );
    run?.add({ type: 'run-end', stopReason: 'aborted' });
    return run !== undefined;
  }

  async find(sessionKey: string, runId?: string): Promise<RunHandle | undefined> {
    return this.runs.find(
      (run) =>
        run.sessionKey === sessionKey &&
        (runId === undefined ? !run.log.ended : run.runId === runId),
    );
  }

  watch(
    sessionKey: string,
    options: { readonly signal: AbortSignal },
  ): ReturnType<Dispatcher['watch']> {
    const current = this.runs.find((run) => run.sessionKey === sessionKey && !run.log.ended);
    return this.#watchers.watch(sessionKey, current, options);
  }

  isRunning(sessionKey: string): boolean {
    return this.runs.some((run) => run.sessionKey === sessionKey && !run.log.ended);
  }

  async drain(): Promise<void> {
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** A plugin manager with nothing but the channels of a test. */
export function createFakePlugins(channels: readonly ChannelAdapter[] = []): PluginManager {
  return {
    list: () => [
      {
        name: 'echo',
        type: 'tool',
        version: '1.0.0',
        description: 'Says it again',
        tools: ['echo'],
        channel: undefined,
        capabilities: [],
        digest: 'ab'.repeat(32),
        state: 'ready',
        error: undefined,
      },
    ],
    async load() {
      throw new ExoclawError('plugin_error', 'No such file');
    },
    unload: async (name) => name === 'echo',
    call: async (_name, _export, input) => ({
      ok: true,
      output: new TextEncoder().encode(input),
      logs: [{ level: 'info', text: 'called' }],
      durationMs: 1,
    }),
    findChannel: (channel) => channels.find((adapter) => adapter.channel === channel),
    async [Symbol.asyncDispose]() {
      await Promise.resolve();
    },
  };
}

export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly dispatcher: FakeDispatcher;
  readonly clock: FakeClock;
  readonly store: Store;
  readonly url: string;
  /** Lines of the log, as JSON text. */
  readonly log: readonly string[];
  connect(options?: ClientOptions, path?: string): Promise<TestSocket>;
}

export type TestGatewayOptions = Partial<Omit<GatewayOptions, 'limits'>> & {
  readonly limits?: Partial<GatewayOptions['limits']>;
};

/** Opens a gateway with an agent `main` for everybody. */
export async function openTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const router = createRouter({ bindings: [], defaultAgentId: 'main' });
  const clock = createFakeClock();
  const store = await openSqliteStore({ path: ':memory:' });
  const dispatcher = new FakeDispatcher(options.router ?? (() => router));
  const lines: string[] = [];
  const gateway = await openGateway({
    bind: '127.0.0.1',
    port: 0,
    allowedOrigins: [],
    allowedHosts: [],
    token: undefined,
    version: '0.1.0',
    metrics: true,
    demo: false,
    router: () => router,
    dispatcher,
    plugins: createFakePlugins(),
    store,
    meter: { budgetStatus: async () => [] },
    status: async () => ({
      agents: [{ id: 'main', provider: 'demo', model: 'demo', tools: ['echo'] }],
      bus: { kind: 'local' },
      sandbox: { level: 'full', walls: ['wasm', 'process'], summary: 'two walls', processes: 1 },
      sessions: 0,
    }),
    ready: () => true,
    log: pino({ level: 'debug' }, { write: (line: string) => lines.push(line) }),
    clock,
    ...options,
    limits: { ...LIMITS, ...options.limits },
  });
  const sockets: TestSocket[] = [];
  return {
    gateway,
    dispatcher,
    clock,
    store,
    url: gateway.url,
    log: lines,
    async connect(clientOptions = {}, path = '/ws') {
      const socket = new TestSocket(`${gateway.url.replace('http', 'ws')}${path}`, clientOptions);
      sockets.push(socket);
      await once(socket.raw, 'open');
      return socket;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.raw.terminate();
      await gateway[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

export type Json = Readonly<Record<string, unknown>>;

/** A client that sees every frame exactly as it came. */
export class TestSocket {
  readonly raw: WebSocket;
  readonly texts: string[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #waiting = new Set<() => void>();
  #read = 0;
  #isClosed = false;

  constructor(url: string, options: ClientOptions) {
    this.raw = new WebSocket(url, options);
    this.raw.on('message', (data: Buffer) => {
      this.texts.push(data.toString());
      this.#wake();
    });
    this.raw.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.raw.on('close', (code, reason) => {
        this.#isClosed = true;
        this.#wake();
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  send(frame: unknown): void {
    this.raw.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** The next frame that has not been read, as text. */
  async nextText(): Promise<string> {
    for (;;) {
      const text = this.texts[this.#read];
      if (text !== undefined) {
        this.#read += 1;
        return text;
      }
      if (this.#isClosed) throw new Error('The connection was closed');
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async next(): Promise<Json> {
    return JSON.parse(await this.nextText()) as Json;
  }

  /** Reads on to the first frame that matches. */
  async until(matches: (frame: Json) => boolean): Promise<Json> {
    for (;;) {
      const frame = await this.next();
      if (matches(frame)) return frame;
    }
  }

  /** Reads the frames of a request up to its `done`, its failure or its result. */
  async stream(id: string | number): Promise<readonly Json[]> {
    const frames: Json[] = [];
    for (;;) {
      const frame = await this.until((candidate) => candidate['id'] === id);
      frames.push(frame);
      if (frame['event'] === 'done' || !('event' in frame)) return frames;
    }
  }

  /** Sends a plain request and reads on to its answer. */
  async call(id: string | number, method: string, params: unknown = {}): Promise<Json> {
    this.send({ id, method, params });
    return this.until((frame) => frame['id'] === id);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
