/**
 * The processes of a sandbox. Each serves one plugin, by content, from its first module to its
 * end; a blank one is kept warm so that a bind or a kill costs nobody the start. When all places
 * are taken, a plugin without work gives its process up, and one that has had a turn hands it on.
 */
import { toMessage } from '../lib/error.ts';
import type { Log } from '../lib/log.ts';
import { TaskGroup } from '../lib/tasks.ts';
import { ProcessLane, type ProcessSource } from './lane.ts';
import type { SandboxProcess } from './process.ts';

export interface PoolOptions {
  readonly start: () => Promise<SandboxProcess>;
  /** Processes that serve a plugin; the blank one comes on top. */
  readonly maxProcesses: number;
  /** A process without work for this long ends. */
  readonly idleMs: number;
  readonly log: Log;
}

export class ProcessPool implements ProcessSource, AsyncDisposable {
  readonly idleMs: number;
  readonly tasks: TaskGroup;
  readonly #options: PoolOptions;
  readonly #lanes = new Map<string, ProcessLane>();
  readonly #waiting: (() => void)[] = [];
  readonly #live = new Set<SandboxProcess>();
  #spare: Promise<SandboxProcess | undefined> | undefined;
  /** Bound processes that have not ended, those that were killed included. */
  readonly #bound = new Set<SandboxProcess>();
  #placesTaken = 0;
  #isClosed = false;
  readonly #killAll = () => {
    for (const item of this.#live) item.kill('closed', 'host ended');
  };

  constructor(options: PoolOptions) {
    this.#options = options;
    this.idleMs = options.idleMs;
    this.tasks = new TaskGroup((name, error) => options.log.error({ err: error }, name));
    process.once('exit', this.#killAll);
  }

  /** Processes alive, the blank one included. */
  get size(): number {
    return this.#live.size;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether a plugin waits for a place that nobody leaves; lanes then give theirs up early. */
  get isCrowded(): boolean {
    return this.#waiting.length > this.#leaving();
  }

  /** Starts the blank process and waits for it. @throws {Error} when it does not come up. */
  async warmUp(): Promise<void> {
    const first = await this.#start();
    this.#spare = Promise.resolve(first);
  }

  /** The lane of a plugin's content; `release()` it when the plugin is unloaded. */
  lane(digest: string): ProcessLane {
    const known = this.#lanes.get(digest);
    const lane = known ?? new ProcessLane(this, () => this.#lanes.delete(digest));
    this.#lanes.set(digest, lane);
    lane.retain();
    return lane;
  }

  /**
   * A process nobody has used. Waits for a place when all are taken.
   * @throws {Error} when none can be started.
   */
  async take(): Promise<SandboxProcess> {
    while (this.#placesTaken >= this.#options.maxProcesses && !this.#isClosed) {
      if (this.#waiting.length >= this.#leaving()) this.#evictIdle();
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
    this.#placesTaken += 1;
    try {
      const spare = this.#spare;
      this.#spare = undefined;
      const blank = await spare;
      const taken = blank === undefined || blank.isDead ? await this.#start() : blank;
      this.#bound.add(taken);
      this.tasks.run('free a place', async () => {
        await taken.exited;
        this.#bound.delete(taken);
        this.#freePlace();
      });
      return taken;
    } catch (error) {
      this.#freePlace();
      throw error;
    } finally {
      this.#refill();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    process.removeListener('exit', this.#killAll);
    for (const lane of this.#lanes.values()) lane.close();
    for (const wake of this.#waiting.splice(0)) wake();
    await this.#spare;
    await Promise.all([...this.#live].map((item) => item[Symbol.asyncDispose]()));
    await this.tasks.idle();
  }

  async #start(): Promise<SandboxProcess> {
    if (this.#isClosed) throw new Error('Sandbox is closed');
    const started = await this.#options.start();
    this.#live.add(started);
    this.tasks.run('forget a process', async () => {
      await started.exited;
      this.#live.delete(started);
    });
    if (this.#isClosed) started.kill('closed', 'sandbox was closed');
    return started;
  }

  /** Makes sure that a blank process is on its way. */
  #refill(): void {
    if (this.#isClosed || this.#spare !== undefined) return;
    this.#spare = this.#start().catch((error: unknown) => {
      this.#options.log.warn({ reason: toMessage(error) }, 'Sandbox process did not start');
      return undefined;
    });
  }

  #leaving(): number {
    return [...this.#bound].filter((item) => item.isDead).length;
  }

  #freePlace(): void {
    this.#placesTaken -= 1;
    this.#waiting.shift()?.();
  }

  #evictIdle(): void {
    const idle = [...this.#lanes.values()]
      .filter((lane) => lane.idleSinceMs !== undefined)
      .toSorted((a, b) => (a.idleSinceMs ?? 0) - (b.idleSinceMs ?? 0));
    idle[0]?.evict();
  }
}
