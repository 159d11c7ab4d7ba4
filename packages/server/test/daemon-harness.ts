/**
 * A whole gateway for tests: a temporary home, a real store file, real sandbox processes and real
 * sockets; only the model provider is a local stand-in. It runs in this process or as a child.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { openDaemon, type Daemon } from '../src/daemon.ts';
import { createSilentLog } from '../src/lib/log.ts';

const ROOT = path.join(import.meta.dirname, '../../..');
export const ECHO = path.join(ROOT, 'plugins/echo/dist/echo.wasm');
export const MOCK_CHANNEL = path.join(ROOT, 'plugins/mock-channel/dist/mock-channel.wasm');

/** A frame as a client sees it. */
export type Frame = Readonly<Record<string, unknown>>;

export interface Home extends Disposable {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  /** Writes `config.toml`; `[gateway] port = 0` is added when the text has no `[gateway]`. */
  configure(toml: string): void;
}

export function createHome(env: Readonly<Record<string, string>> = {}): Home {
  const folder = mkdtempSync(path.join(tmpdir(), 'exoclaw-test-'));
  return {
    path: folder,
    env: { HOME: folder, EXOCLAW_HOME: folder, ...env },
    configure(toml) {
      const gateway = toml.includes('[gateway]') ? '' : '[gateway]\nport = 0\n';
      writeFileSync(path.join(folder, 'config.toml'), gateway + toml);
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** An agent that talks to a stand-in of Anthropic and may use the echo tool. */
export function toConfig(providerUrl: string, more = ''): string {
  return `
[agent]
id = "personal"
provider = "anthropic"
model = "claude-test"
base_url = "${providerUrl}"
tools = ["echo"]

[[prices]]
provider = "anthropic"
model = "claude-test"
input = 3.0
output = 15.0
cache_read = 0.3
cache_write = 3.75

[[plugins]]
name = "echo"
path = "${ECHO}"

${more}
`;
}

export interface TestDaemon extends AsyncDisposable {
  readonly daemon: Daemon;
  readonly home: Home;
  readonly url: string;
  connect(): Promise<TestClient>;
}

/** Starts a daemon in this process, on a free port. */
export async function startDaemon(
  config: string,
  options: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<TestDaemon> {
  const home = createHome({ ANTHROPIC_API_KEY: 'test-key', ...options.env });
  home.configure(config);
  const daemon = await openDaemon({ env: home.env, log: createSilentLog() });
  const url = daemon.url ?? '';
  const clients: TestClient[] = [];
  return {
    daemon,
    home,
    url,
    async connect() {
      const client = await connectClient(url);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.close();
      await daemon[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    },
  };
}

export interface TestClient {
  readonly socket: WebSocket;
  send(frame: unknown): void;
  /** Resolves with the first frame, past or to come, that matches. */
  waitFor(matches: (frame: Frame) => boolean): Promise<Frame>;
  /** Sends `chat.send` and resolves with its frames when the stream has ended. */
  chat(content: string, params?: Readonly<Record<string, unknown>>): Promise<readonly Frame[]>;
  call(method: string, params?: unknown): Promise<Frame>;
  readonly frames: readonly Frame[];
  close(): void;
}

export async function connectClient(url: string, token?: string): Promise<TestClient> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data: Buffer) => {
    frames.push(JSON.parse(data.toString('utf8')) as Frame);
    for (const wake of waiting) wake();
  });
  let closed = false;
  socket.on('close', () => {
    closed = true;
    for (const wake of waiting) wake();
  });
  await once(socket, 'open');
  if (token !== undefined) socket.send(JSON.stringify({ token }));

  async function waitFor(matches: (frame: Frame) => boolean): Promise<Frame> {
    let next = 0;
    for (;;) {
      for (; next < frames.length; next += 1) {
        const frame = frames[next];
        if (frame !== undefined && matches(frame)) return frame;
      }
      if (closed) throw new Error('The connection was closed');
      await new Promise<void>((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
      });
    }
  }

  let lastId = 0;
  const client: TestClient = {
    socket,
    frames,
    waitFor,
    send: (frame) => socket.send(JSON.stringify(frame)),
    async chat(content, params = {}) {
      lastId += 1;
      const id = `chat-${lastId}`;
      client.send({
        id,
        method: 'chat.send',
        params: { channel: 'web', account: 'me', content, ...params },
      });
      await waitFor(
        (frame) =>
          frame['id'] === id &&
          (frame['event'] === 'done' || ('code' in frame && !('event' in frame))),
      );
      return frames.filter((frame) => frame['id'] === id);
    },
    async call(method, params = {}) {
      lastId += 1;
      const id = `call-${lastId}`;
      client.send({ id, method, params });
      return waitFor((frame) => frame['id'] === id);
    },
    close: () => socket.terminate(),
  };
  await waitFor((frame) => 'ok' in frame || 'error' in frame);
  return client;
}

/** The text of a stream's frames, in the order they came. */
export function textOf(frames: readonly Frame[]): string {
  return frames
    .filter((frame) => frame['event'] === 'text')
    .map((frame) => String(frame['data']))
    .join('');
}

export function eventsOf(frames: readonly Frame[]): readonly unknown[] {
  return frames.map((frame) => frame['event'] ?? frame['code'] ?? 'result');
}

export interface GatewayProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly output: () => string;
}

/** Starts `exoclaw gateway` as its own process and waits until it says where it listens. */
export async function spawnGateway(
  home: Home,
  args: readonly string[] = [],
): Promise<GatewayProcess> {
  const child = spawn(
    process.execPath,
    [path.join(ROOT, 'packages/server/bin/exoclaw.js'), 'gateway', ...args],
    { env: { PATH: process.env['PATH'], ...home.env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  child.stderr.on('data', (data: Buffer) => (output += data.toString('utf8')));
  for await (const line of createInterface({ input: child.stdout })) {
    output += `${line}\n`;
    const url = /http:\/\/127\.0\.0\.1:\d+/u.exec(line)?.[0];
    if (url !== undefined) return { child, url, output: () => output };
  }
  throw new Error(`The gateway did not start:\n${output}`);
}
