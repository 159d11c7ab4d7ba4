/**
 * One lane per session: its jobs run one at a time and in order, jobs of different sessions side by
 * side up to a cap. A lane that is full refuses; an idle lane takes no memory.
 */
import { ExoclawError } from '../lib/error.ts';

export type LaneJob = () => Promise<void>;

export interface LaneLimits {
  /** Jobs that may wait in one lane behind the running one. */
  readonly maxQueued: number;
  /** Jobs that run at the same time over all lanes. */
  readonly maxRunning: number;
}

interface Lane {
  readonly waiting: LaneJob[];
  running: boolean;
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that have work and wait for room under `maxRunning`, oldest first. */
  readonly #ready = new Set<string>();
  readonly #limits: LaneLimits;
  #running = 0;
  #stopped = false;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /** Jobs running or waiting. */
  get size(): number {
    let waiting = 0;
    for (const lane of this.#lanes.values()) waiting += lane.waiting.length;
    return this.#running + waiting;
  }

  /** @throws {ExoclawError} session_busy when the lane of `key` has no room for one more. */
  assertRoom(key: string): void {
    const waiting = this.#lanes.get(key)?.waiting.length ?? 0;
    if (waiting < this.#limits.maxQueued) return;
    throw new ExoclawError(
      'session_busy',
      `${waiting} messages are already waiting in this session; wait for an answer, then send again`,
    );
  }

  /** Adds a job behind the others of `key`. It must not throw: it owns its errors. */
  add(key: string, job: LaneJob): void {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { waiting: [], running: false };
      this.#lanes.set(key, lane);
    }
    lane.waiting.push(job);
    if (!lane.running) this.#ready.add(key);
    this.#startReady();
  }

  /** Starts nothing more; resolves when the running jobs have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#running === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  #startReady(): void {
    for (const key of this.#ready) {
      if (this.#stopped || this.#running >= this.#limits.maxRunning) return;
      this.#ready.delete(key);
      const lane = this.#lanes.get(key);
      const job = lane?.waiting.shift();
      if (lane === undefined || job === undefined) continue;
      lane.running = true;
      this.#running += 1;
      void job().finally(() => this.#finish(key, lane));
    }
  }

  #finish(key: string, lane: Lane): void {
    lane.running = false;
    this.#running -= 1;
    if (lane.waiting.length > 0) this.#ready.add(key);
    else this.#lanes.delete(key);
    this.#startReady();
    if (this.#stopped && this.#running === 0) this.#idle?.resolve();
  }
}
