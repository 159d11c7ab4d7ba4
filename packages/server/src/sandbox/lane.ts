/**
 * The calls of one plugin on its one process, one after the other. A call that kills the process
 * takes nobody with it: those that wait have not begun, and go on in the next process.
 */
import type { TaskGroup } from '../lib/tasks.ts';
import { FairQueue } from './fair-queue.ts';
import { MAX_QUEUED_CALLS, MAX_QUEUED_CALLS_PER_SESSION } from './limits.ts';
import type { SandboxProcess } from './process.ts';

/** With others waiting for a process, a lane keeps its process no longer than this. */
const TURN_MS = 1_000;

/** Where a lane gets its process from. */
export interface ProcessSource {
  /** A process without work for this long ends. */
  readonly idleMs: number;
  readonly tasks: TaskGroup;
  readonly isClosed: boolean;
  /** Whether another lane waits for a process; a lane then gives its own up early. */
  readonly isCrowded: boolean;
  /** @throws {Error} when none can be started. */
  take(): Promise<SandboxProcess>;
}

interface Job {
  /** Must not reject. */
  readonly run: (process: SandboxProcess) => Promise<void>;
  readonly refuse: (error: LaneError) => void;
}

/** A call did not begin. */
export class LaneError extends Error {
  override readonly name = 'LaneError';
  readonly code: 'unavailable' | 'cancelled';

  constructor(code: 'unavailable' | 'cancelled', message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export class ProcessLane {
  readonly #source: ProcessSource;
  readonly #onUnused: () => void;
  readonly #queue = new FairQueue<Job>({
    maxItems: MAX_QUEUED_CALLS,
    maxPerSession: MAX_QUEUED_CALLS_PER_SESSION,
  });
  #users = 0;
  #process: SandboxProcess | undefined;
  #boundAtMs = 0;
  #isRunning = false;
  #idleTimer: NodeJS.Timeout | undefined;
  #idleSinceMs: number | undefined;

  constructor(source: ProcessSource, onUnused: () => void) {
    this.#source = source;
    this.#onUnused = onUnused;
  }

  /** Monotonic time since when a process stands here without work. */
  get idleSinceMs(): number | undefined {
    return this.#process === undefined ? undefined : this.#idleSinceMs;
  }

  retain(): void {
    this.#users += 1;
  }

  /** The last user's release ends the process. */
  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#onUnused();
    this.close();
  }

  /**
   * Runs a task with the process to itself, when its turn comes.
   * @throws {LaneError} `unavailable` or `cancelled`: it was not begun.
   */
  run<T>(
    task: (process: SandboxProcess) => Promise<T>,
    options: { readonly session: string; readonly signal?: AbortSignal | undefined },
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const { signal } = options;
    const cancel = () => {
      if (this.#queue.remove(job)) reject(new LaneError('cancelled', 'Call was cancelled'));
    };
    const job: Job = {
      run: async (process) => {
        signal?.removeEventListener('abort', cancel);
        await task(process).then(resolve, reject);
      },
      refuse: (error) => {
        signal?.removeEventListener('abort', cancel);
        reject(error);
      },
    };
    if (this.#source.isClosed) job.refuse(new LaneError('unavailable', 'Sandbox is closed'));
    else if (!this.#queue.push(options.session, job)) {
      job.refuse(new LaneError('unavailable', 'Too many calls wait for this plugin'));
    } else {
      signal?.addEventListener('abort', cancel, { once: true });
      this.#wake();
    }
    return promise;
  }

  /** Ends the process if it has no work. @returns whether it did. */
  evict(): boolean {
    if (this.#isRunning || this.#process === undefined) return false;
    this.#endProcess('process was idle');
    return true;
  }

  /** Refuses what waits and ends the process, with whatever runs in it. */
  close(): void {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      job.refuse(new LaneError('unavailable', 'Sandbox is closed'));
    }
    this.#endProcess('sandbox was closed');
  }

  #wake(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    clearTimeout(this.#idleTimer);
    this.#source.tasks.run('sandbox lane', () => this.#drain());
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.size > 0) {
        const process = await this.#takeProcess();
        const job = this.#queue.shift();
        if (process instanceof LaneError) job?.refuse(process);
        else await job?.run(process);
        this.#giveTurn();
      }
    } finally {
      this.#isRunning = false;
      this.#startIdle();
    }
  }

  async #takeProcess(): Promise<SandboxProcess | LaneError> {
    if (this.#process !== undefined && !this.#process.isDead) return this.#process;
    try {
      this.#process = await this.#source.take();
      this.#boundAtMs = performance.now();
      return this.#process;
    } catch (error) {
      return new LaneError('unavailable', 'Sandbox process did not start', { cause: error });
    }
  }

  #giveTurn(): void {
    const hadTurn = performance.now() - this.#boundAtMs > TURN_MS;
    if (this.#source.isCrowded && hadTurn) this.#endProcess('another plugin waits');
  }

  #startIdle(): void {
    if (this.#process === undefined) return;
    this.#idleSinceMs = performance.now();
    if (this.#source.isCrowded || this.#source.isClosed || this.#users === 0) {
      this.evict();
      return;
    }
    this.#idleTimer = setTimeout(() => this.evict(), this.#source.idleMs);
    this.#idleTimer.unref();
  }

  #endProcess(detail: string): void {
    clearTimeout(this.#idleTimer);
    this.#process?.kill('closed', detail);
    this.#process = undefined;
  }
}
