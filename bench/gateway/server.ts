/**
 * The processes of a measurement, each on a free port of its own: the gateway as a user starts it,
 * in a temporary home; the floor; the stand-in for the provider. Disposing one stops it and waits
 * until it is gone; when this process exits early, they are killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '../..');
const POLL_MS = 5;
const START_MS = 60_000;
const STOP_MS = 10_000;
const COLD = { NODE_DISABLE_COMPILE_CACHE: '1' };

/** Who the agent is, in every measurement; about as long as a short one of a person. */
export const SOUL = 'You are Ada, a calm and precise assistant. You answer in one short paragraph.';

export interface Server extends AsyncDisposable {
  readonly pid: number;
  readonly url: string;
  /** From the spawn to the first 200 of `/ready`. */
  readonly readyMs: number;
}

/** A folder that is gone when this process is. */
export interface Home extends Disposable {
  readonly path: string;
}

/** An empty home: no database yet, no soul. */
export function createHome(): Home {
  const path = mkdtempSync(join(tmpdir(), 'exoclaw-bench-'));
  const remove = () => rmSync(path, { recursive: true, force: true });
  process.on('exit', remove);
  return {
    path,
    [Symbol.dispose]() {
      process.off('exit', remove);
      remove();
    },
  };
}

export interface StartOptions {
  /** Without compiled code of an earlier start, and without keeping any. */
  readonly isCold?: boolean;
}

/** Starts `exoclaw gateway` with one agent that may use the echo tool. */
export async function startGateway(
  home: Home,
  providerUrl: string,
  options: StartOptions = {},
): Promise<Server> {
  writeFileSync(join(home.path, 'soul.md'), SOUL);
  writeFileSync(join(home.path, 'config.toml'), toConfig(providerUrl));
  const env = { HOME: home.path, EXOCLAW_HOME: home.path, ANTHROPIC_API_KEY: 'bench-key' };
  const file = join(ROOT, 'packages/server/bin/exoclaw.js');
  const toArgs = (port: number) => [file, 'gateway', '--port', String(port)];
  return startServer(home, toArgs, options.isCold === true ? { ...env, ...COLD } : env);
}

export async function startFloor(
  home: Home,
  providerUrl: string,
  options: StartOptions = {},
): Promise<Server> {
  const file = join(import.meta.dirname, 'floor.ts');
  const env = options.isCold === true ? COLD : { NODE_COMPILE_CACHE: join(home.path, 'cache') };
  return startServer(home, (port) => [file, String(port), providerUrl], env);
}

/** @param wordsPerChunk An answer has twenty chunks. */
export async function startProvider(home: Home, wordsPerChunk = 1): Promise<Server> {
  const file = join(import.meta.dirname, 'provider.ts');
  return startServer(home, (port) => [file, String(port), String(wordsPerChunk)], {});
}

/** A gateway and a floor beside each other, both in front of one provider. */
export interface Stage extends AsyncDisposable {
  readonly provider: Server;
  readonly gateway: Server;
  readonly floor: Server;
}

export async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(createHome());
  const provider = stack.use(await startProvider(home));
  const gateway = stack.use(await startGateway(home, provider.url));
  const floor = stack.use(await startFloor(home, provider.url));
  const owned = stack.move();
  return { provider, gateway, floor, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function toConfig(providerUrl: string): string {
  return `
[agent]
id = "bench"
provider = "anthropic"
model = "claude-bench"
base_url = "${providerUrl}"
tools = ["echo"]

[[prices]]
provider = "anthropic"
model = "claude-bench"
input = 3.0
output = 15.0

[[plugins]]
name = "echo"
path = "${join(ROOT, 'plugins/echo/dist/echo.wasm')}"
`;
}

async function startServer(
  home: Home,
  toArgs: (port: number) => readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Server> {
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const logPath = join(home.path, `${port}.log`);
  const log = openSync(logPath, 'a');
  const startMs = performance.now();
  const child = spawn(process.execPath, toArgs(port), {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  const stop = async () => {
    await stopChild(child);
    process.off('exit', kill);
  };
  while (!(await isReady(url))) {
    if (hasEnded(child) || performance.now() - startMs > START_MS) {
      await stop();
      throw new Error(
        `"${toArgs(port).join(' ')}" did not start:\n${readFileSync(logPath, 'utf8')}`,
      );
    }
    await sleep(POLL_MS);
  }
  const readyMs = performance.now() - startMs;
  return { pid: child.pid ?? 0, url, readyMs, [Symbol.asyncDispose]: stop };
}

/** Asks it to stop, so that it writes its compile cache, and kills it when it does not. */
async function stopChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function isReady(url: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const request = http.get(`${url}/ready`, { agent: false }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  request.on('error', () => resolve(false));
  return promise;
}

async function findFreePort(): Promise<number> {
  await using server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
