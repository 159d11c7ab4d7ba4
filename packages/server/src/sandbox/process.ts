/**
 * One sandbox process and the conversation with it: a frame out, log frames and one answer in. The
 * process is Node with the permission model on, an empty environment and its own folder as the
 * only thing it can read. Whatever it sends is hostile: a frame that does not fit the moment is a
 * breach, and a breach, a deadline or a cancellation is SIGKILL. Each request has one outcome.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { encodeHeader, FrameReader, FROM_CHILD, TO_CHILD, type Frame } from './child/frames.ts';
import { LOG_LEVELS } from './child/messages.ts';
import { packetBytes } from './child/packet.ts';
import {
  MAX_FRAME_BYTES,
  MAX_MEMORY_PAGES,
  MAX_STDERR_BYTES,
  MAX_TABLE_ENTRIES,
} from './limits.ts';
import { escapeText } from './text.ts';

const START_DEADLINE_MS = 10_000;

/** What is needed to start a process. */
export interface ChildRuntime {
  /** The Node binary. */
  readonly execPath: string;
  /** Absolute path of `child/entry.ts`; its folder is all the process can read. */
  readonly entry: string;
  /** Bytes of the ABI kernel. */
  readonly kernel: Uint8Array;
}

type DeathReason = 'timeout' | 'cancelled' | 'protocol' | 'crash' | 'closed';

export interface Death {
  readonly reason: DeathReason;
  /** For the log of the operator. */
  readonly detail: string;
  /** How the process ended by itself, for `crash`. */
  readonly signal?: NodeJS.Signals;
}

export type RequestOutcome =
  | { readonly kind: 'frame'; readonly frame: Frame }
  | { readonly kind: 'died'; readonly death: Death };

interface ProcessRequest {
  readonly type: number;
  readonly aux?: number;
  readonly body: readonly Uint8Array[];
  /** Types of the frame that may answer. */
  readonly answers: readonly number[];
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Without it a log frame is a breach. Must not throw; false means the limit is passed. */
  readonly onLog?: (level: number, text: Uint8Array) => boolean;
}

interface Pending {
  readonly request: ProcessRequest;
  readonly callId: number;
  readonly settle: (outcome: RequestOutcome) => void;
}

/** The arguments of a sandbox process, also used by the test that probes what they deny. */
export function childArguments(entry: string): string[] {
  return [
    '--permission',
    `--allow-fs-read=${entry.slice(0, entry.lastIndexOf('/') + 1)}*`,
    '--no-addons',
    '--no-experimental-sqlite',
    '--no-experimental-websocket',
    '--disable-sigusr1',
    '--disallow-code-generation-from-strings',
    '--disable-proto=throw',
    '--no-warnings',
    '--max-old-space-size=96',
    '--max-semi-space-size=4',
    `--wasm-max-mem-pages=${MAX_MEMORY_PAGES}`,
    `--wasm-max-table-size=${MAX_TABLE_ENTRIES}`,
    '--stack-size=800',
    entry,
  ];
}

export class SandboxProcess implements AsyncDisposable {
  /** Ids of the modules it has compiled. */
  readonly modules = new Set<number>();
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #socket: Duplex;
  readonly #reader = new FrameReader(MAX_FRAME_BYTES);
  #stderr = '';
  #pending: Pending | undefined;
  #lastCallId = 0;
  #death: Death | undefined;

  private constructor(runtime: ChildRuntime) {
    this.#child = spawn(runtime.execPath, childArguments(runtime.entry), {
      env: {},
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.#socket = this.#child.stdio[3] as Duplex;
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // The end of the process says all there is to say about a broken pipe.
    this.#socket.on('error', () => this.#child.kill('SIGKILL'));
    this.#socket.on('end', () => this.#child.kill('SIGKILL'));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8');
      stream?.on('data', (text: string) => {
        this.#stderr = (this.#stderr + text).slice(-MAX_STDERR_BYTES);
      });
    }
    this.exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#die({ reason: 'crash', detail: error.message });
        if (this.#child.pid === undefined) resolve();
      });
      this.#child.once('close', (code, signal) => {
        const detail = `ended with ${signal ?? `code ${code}`}: ${escapeText(this.#stderr, 2_000)}`;
        this.#die({ reason: 'crash', detail, ...(signal === null ? {} : { signal }) });
        resolve();
      });
    });
  }

  /**
   * Starts a process and waits until it can take a module.
   * @throws {Error} when it does not come up.
   */
  static async start(runtime: ChildRuntime): Promise<SandboxProcess> {
    const started = new SandboxProcess(runtime);
    const outcome = await started.request({
      type: TO_CHILD.init,
      body: [runtime.kernel],
      answers: [FROM_CHILD.ready],
      deadlineMs: START_DEADLINE_MS,
    });
    if (outcome.kind === 'frame') return started;
    throw new Error(`Sandbox process did not start: ${outcome.death.detail}`);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isDead(): boolean {
    return this.#death !== undefined;
  }

  /** Sends a frame and waits for its answer; one request at a time. Never rejects. */
  async request(request: ProcessRequest): Promise<RequestOutcome> {
    if (this.#death !== undefined) return { kind: 'died', death: this.#death };
    if (this.#pending !== undefined) throw new TypeError('Process is busy');
    const { promise, resolve } = Promise.withResolvers<RequestOutcome>();
    const callId = (this.#lastCallId = (this.#lastCallId + 1) >>> 0);
    this.#pending = { request, callId, settle: resolve };
    const timer = setTimeout(() => {
      this.kill('timeout', `no answer after ${request.deadlineMs} ms`);
    }, request.deadlineMs);
    const abort = () => this.kill('cancelled', 'call was cancelled');
    if (request.signal?.aborted === true) abort();
    request.signal?.addEventListener('abort', abort, { once: true });
    this.#send(request, callId);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', abort);
    }
  }

  /** Ends the process at once; what is running gets this reason. */
  kill(reason: DeathReason, detail: string): void {
    this.#die({ reason, detail });
    this.#child.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('closed', 'sandbox was closed');
    await this.exited;
  }

  #send(request: ProcessRequest, callId: number): void {
    if (this.#death !== undefined) return;
    const { type, aux = 0, body } = request;
    this.#socket.cork();
    this.#socket.write(encodeHeader({ type, flags: 0, callId, aux }, packetBytes(body)));
    for (const chunk of body) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (this.#death !== undefined) return;
        this.#accept(frame);
      }
    } catch (error) {
      this.kill('protocol', error instanceof Error ? error.message : String(error));
    }
  }

  #accept(frame: Frame): void {
    const pending = this.#pending;
    if (pending === undefined || frame.callId !== pending.callId) {
      this.kill('protocol', `frame ${frame.type} for a call that is not running`);
    } else if (frame.type === FROM_CHILD.log) {
      const isAllowed =
        frame.flags < LOG_LEVELS.length &&
        pending.request.onLog?.(frame.flags, frame.body) === true;
      if (!isAllowed) this.kill('protocol', 'log frame that is not allowed');
    } else if (pending.request.answers.includes(frame.type)) {
      this.#settle({ kind: 'frame', frame });
    } else {
      this.kill('protocol', `frame ${frame.type} does not answer ${pending.request.type}`);
    }
  }

  #die(death: Death): void {
    this.#death ??= death;
    this.#settle({ kind: 'died', death: this.#death });
  }

  #settle(outcome: RequestOutcome): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.settle(outcome);
  }
}
