/**
 * The state of one call: what came with it, what the guest changed, and the flags that no
 * `catch_all` in the guest can take back. A refused or exhausted host function sets its flag first
 * and throws second; whoever swallows the throw still ends with the flag's error.
 */
import type { Kernel } from './kernel.ts';
import { LOG_LEVELS, type CallLimits, type CallMeta } from './messages.ts';
import { RandomStream } from './random.ts';

export type LogLevel = (typeof LOG_LEVELS)[number];

interface Denial {
  readonly message: string;
  readonly grant?: string;
}

/** Thrown through the guest to end it; what it means is in the flags of the call. */
export class GuestStop extends Error {
  override readonly name = 'GuestStop';
}

interface GuestCallInput {
  readonly meta: CallMeta;
  readonly seed: Uint8Array;
  readonly vars: ReadonlyMap<string, Uint8Array>;
  readonly kernel: Kernel;
  readonly writeLog: (level: number, text: Uint8Array) => void;
}

export class GuestCall {
  readonly kernel: Kernel;
  readonly limits: CallLimits;
  readonly random: RandomStream;
  readonly config: ReadonlyMap<string, string>;
  readonly vars: Map<string, Uint8Array>;
  /** Keys that were set or deleted. */
  readonly changedVars = new Set<string>();
  denial: Denial | undefined;
  exitCode: number | undefined;
  /** While `_start` runs, `proc_exit(0)` is how a command ends well. */
  isStarting = false;
  droppedLogLines = 0;

  readonly #startMs = performance.now();
  readonly #nowMs: number;
  readonly #writeLog: GuestCallInput['writeLog'];
  #hostCalls = 0;
  #logLines = 0;
  #logBytes = 0;
  #varBytes = 0;

  constructor(input: GuestCallInput) {
    this.kernel = input.kernel;
    this.limits = input.meta.limits;
    this.random = new RandomStream(input.seed);
    this.config = new Map(input.meta.config);
    this.vars = new Map(input.vars);
    for (const [key, value] of input.vars) this.#varBytes += varSize(key, value);
    this.#nowMs = input.meta.nowMs;
    this.#writeLog = input.writeLog;
  }

  /** Refuses for the rest of the call. */
  deny(denial: Denial): never {
    this.denial ??= denial;
    throw new GuestStop(denial.message);
  }

  get isStopped(): boolean {
    return this.denial !== undefined || this.exitCode !== undefined;
  }

  /** To be called first by each host function but the logging ones, which have their own limit. */
  countHostCall(): void {
    this.#hostCalls += 1;
    if (this.#hostCalls > this.limits.hostCalls) {
      this.deny({ message: `More than ${this.limits.hostCalls} host calls in one call` });
    }
  }

  exit(code: number): never {
    if (!(this.isStarting && code === 0)) this.exitCode ??= code;
    throw new GuestStop(`exit ${code}`);
  }

  /** Milliseconds since the call began, to the microsecond. */
  elapsedMs(): number {
    return Math.round((performance.now() - this.#startMs) * 1_000) / 1_000;
  }

  /** Epoch milliseconds as the host sees them, to the microsecond. */
  nowMs(): number {
    return this.#nowMs + this.elapsedMs();
  }

  /** Sends a line to the host while the limits last; the rest is only counted. */
  log(level: LogLevel, text: Uint8Array): void {
    const left = this.limits.logBytes - this.#logBytes;
    if (this.#logLines >= this.limits.logLines || left <= 0) {
      this.droppedLogLines += 1;
      return;
    }
    const cut = text.subarray(0, left);
    this.#logLines += 1;
    this.#logBytes += cut.length;
    this.#writeLog(LOG_LEVELS.indexOf(level), cut);
  }

  /** @param value undefined deletes. */
  setVar(key: string, value: Uint8Array | undefined): void {
    const previous = this.vars.get(key);
    const before = previous === undefined ? 0 : varSize(key, previous);
    const after = value === undefined ? 0 : varSize(key, value);
    const isNewKey = previous === undefined && value !== undefined;
    if (this.#varBytes - before + after > this.limits.varBytes) {
      this.deny({ message: `Vars would pass their quota of ${this.limits.varBytes} bytes` });
    }
    if (isNewKey && this.vars.size >= this.limits.varKeys) {
      this.deny({ message: `Vars would pass their quota of ${this.limits.varKeys} keys` });
    }
    this.#varBytes += after - before;
    this.changedVars.add(key);
    if (value === undefined) this.vars.delete(key);
    else this.vars.set(key, value);
  }
}

/** What one var counts against the quota. */
function varSize(key: string, value: Uint8Array): number {
  return Buffer.byteLength(key) + value.length;
}
