/**
 * One loaded plugin: its verified bytes, its limits and what it was given. A call takes its turn
 * in the lane, compiles the module where the process does not have it, sends the call with its
 * config and vars, and writes the changed vars only when the call succeeded.
 */
import { randomBytes } from 'node:crypto';
import { describeDeath, LogCollector, parseAnswer, type Answer } from './answer.ts';
import { FROM_CHILD, TO_CHILD } from './child/frames.ts';
import type { CallMeta } from './child/messages.ts';
import { encodePacket } from './child/packet.ts';
import type { Log } from '../lib/log.ts';
import { toMessage } from '../lib/error.ts';
import { KERNEL_BYTES, PAGE_BYTES } from './limits.ts';
import { LaneError, type ProcessLane } from './lane.ts';
import {
  SandboxLoadError,
  type CallOptions,
  type CallResult,
  type PluginLimits,
  type SandboxCallError,
  type SandboxPlugin,
  type VarStore,
} from './plugin.ts';
import type { SandboxProcess } from './process.ts';
import { escapeText } from './text.ts';
import { checkCallable, type ModuleInfo } from './verify.ts';

const SEED_BYTES = 32;

interface LoadedPluginParts {
  readonly name: string;
  readonly digest: string;
  /** What the verifier made of the module. */
  readonly bytes: Uint8Array;
  readonly info: ModuleInfo;
  readonly config: readonly (readonly [key: string, value: string])[];
  readonly limits: PluginLimits;
  readonly lane: ProcessLane;
  readonly vars: VarStore;
  readonly log: Log;
  readonly onClosed: () => void;
}

interface CallPlan {
  /** Empty runs the start-up functions only. */
  readonly fn: string;
  readonly input: Uint8Array;
  readonly deadlineMs: number;
  readonly detail: 'cpu' | 'load';
  readonly signal: AbortSignal | undefined;
  readonly session: string;
}

export class LoadedPlugin implements SandboxPlugin {
  readonly name: string;
  readonly digest: string;
  readonly exports: readonly string[];
  readonly #parts: LoadedPluginParts;
  /**
   * Names the module in a process: that serves one content only, and what the verifier makes of
   * it differs by nothing but the maximum of the memory.
   */
  readonly #memoryPages: number;
  readonly #usesVars: boolean;
  readonly #running = new Set<Promise<CallResult>>();
  #isClosed = false;

  constructor(parts: LoadedPluginParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.digest = parts.digest;
    this.exports = parts.info.exports
      .filter((entry) => entry.kind === 'function')
      .map((entry) => entry.name);
    this.#memoryPages = Math.floor(parts.limits.memoryBytes / PAGE_BYTES);
    this.#usesVars = parts.info.needs.includes('vars');
  }

  /** Calls that run or wait. */
  get calls(): number {
    return this.#running.size;
  }

  /**
   * Compiles the module and runs its start-up functions once.
   * @throws {SandboxLoadError} with the error of that.
   */
  async prepare(): Promise<void> {
    const result = await this.#track({
      fn: '',
      input: new Uint8Array(0),
      deadlineMs: this.#parts.limits.loadDeadlineMs,
      detail: 'load',
      signal: undefined,
      session: '',
    });
    if (result.ok) return;
    const { code, message } = result.error;
    throw new SandboxLoadError(
      code,
      `Cannot load plugin "${escapeText(this.name, 128)}": ${message}`,
    );
  }

  async call(
    exportName: string,
    input: Uint8Array | string,
    options: CallOptions = {},
  ): Promise<CallResult> {
    const { limits, info } = this.#parts;
    const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input;
    const error = this.#refusal(info, exportName, bytes.length);
    if (error !== undefined) return { ok: false, error, logs: [], durationMs: 0 };
    return await this.#track({
      fn: exportName,
      input: bytes,
      deadlineMs: Math.max(1, Math.min(options.deadlineMs ?? limits.deadlineMs, limits.deadlineMs)),
      detail: 'cpu',
      signal: options.signal,
      session: options.session ?? '',
    });
  }

  /** Lets running calls finish, then ends the process if no other plugin of that content uses it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    this.#parts.lane.release();
    this.#parts.onClosed();
  }

  #refusal(info: ModuleInfo, exportName: string, inputBytes: number): SandboxCallError | undefined {
    if (this.#isClosed) return { code: 'unavailable', message: 'Plugin was unloaded' };
    const { inputBytes: limit } = this.#parts.limits;
    if (inputBytes > limit) {
      const message = `Input of ${inputBytes} bytes passes the limit of ${limit}`;
      return { code: 'denied', message };
    }
    try {
      checkCallable(info, exportName);
      return undefined;
    } catch (error) {
      return { code: 'plugin_rejected', message: toMessage(error) };
    }
  }

  async #track(plan: CallPlan): Promise<CallResult> {
    const call = this.#perform(plan);
    this.#running.add(call);
    try {
      return await call;
    } finally {
      this.#running.delete(call);
    }
  }

  async #perform(plan: CallPlan): Promise<CallResult> {
    const startMs = performance.now();
    const logs = new LogCollector(this.#parts.limits);
    const answer = await this.#runInLane(plan, logs);
    const rest = {
      logs: logs.close(answer.droppedLogLines),
      durationMs: performance.now() - startMs,
    };
    if (answer.ok) return { ok: true, output: answer.output, ...rest };
    return { ok: false, error: answer.error, ...rest };
  }

  async #runInLane(plan: CallPlan, logs: LogCollector): Promise<Answer> {
    const { lane, log } = this.#parts;
    const { session, signal } = plan;
    if (signal?.aborted === true)
      return failed({ code: 'cancelled', message: 'Call was cancelled' });
    try {
      return await lane.run((process) => this.#runIn(process, plan, logs), { session, signal });
    } catch (error) {
      if (error instanceof LaneError) return failed({ code: error.code, message: error.message });
      log.error({ err: error, plugin: this.name }, 'Sandbox call failed');
      return failed({ code: 'unavailable', message: 'Sandbox failed; the log has the reason' });
    }
  }

  async #runIn(process: SandboxProcess, plan: CallPlan, logs: LogCollector): Promise<Answer> {
    const { bytes, limits, log, vars: store } = this.#parts;
    if (!process.modules.has(this.#memoryPages)) {
      const error = await this.#compile(process, bytes, plan.signal);
      if (error !== undefined) return failed(error);
    }
    const vars = this.#usesVars ? await store.read(this.name) : new Map<string, Uint8Array>();
    const outcome = await process.request({
      type: TO_CHILD.call,
      body: this.#encodeCall(plan, vars),
      answers: [FROM_CHILD.result, FROM_CHILD.guestError],
      deadlineMs: plan.deadlineMs,
      signal: plan.signal,
      onLog: (level, text) => logs.add(level, text),
    });
    if (outcome.kind === 'died') {
      log.warn({ plugin: this.name, ...outcome.death }, 'Sandbox process died');
      return failed(describeDeath(outcome.death, plan));
    }
    const answer = this.#parse(process, outcome.frame);
    if (!answer.ok || answer.vars.size === 0) return answer;
    const quota = { maxBytes: limits.varBytes, maxKeys: limits.varKeys };
    if (await store.write(this.name, answer.vars, quota)) return answer;
    return failed({
      code: 'denied',
      message: `Vars would pass their quota of ${quota.maxBytes} bytes`,
    });
  }

  async #compile(
    process: SandboxProcess,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<SandboxCallError | undefined> {
    const { limits } = this.#parts;
    const outcome = await process.request({
      type: TO_CHILD.load,
      aux: this.#memoryPages,
      body: [bytes],
      answers: [FROM_CHILD.loaded, FROM_CHILD.loadError],
      deadlineMs: limits.loadDeadlineMs,
      signal,
    });
    if (outcome.kind === 'died') {
      return describeDeath(outcome.death, { deadlineMs: limits.loadDeadlineMs, detail: 'load' });
    }
    if (outcome.frame.type === FROM_CHILD.loadError) {
      const text = Buffer.from(outcome.frame.body).toString('utf8');
      return { code: 'plugin_rejected', message: escapeText(text, limits.errorBytes) };
    }
    process.modules.add(this.#memoryPages);
    return undefined;
  }

  #encodeCall(plan: CallPlan, vars: ReadonlyMap<string, Uint8Array>): Uint8Array[] {
    const { limits, config } = this.#parts;
    const { outputBytes, errorBytes, logBytes, logLines } = limits;
    const { varBytes, varKeys, hostCalls } = limits;
    const meta: CallMeta = {
      module: this.#memoryPages,
      fn: plan.fn,
      config,
      vars: [...vars.keys()],
      nowMs: Date.now(),
      limits: {
        kernelPages: kernelPages(plan.input.length, outputBytes),
        memoryBytes: this.#memoryPages * PAGE_BYTES,
        outputBytes,
        errorBytes,
        logBytes,
        logLines,
        varBytes,
        varKeys,
        hostCalls,
      },
    };
    return encodePacket(meta, [randomBytes(SEED_BYTES), plan.input, ...vars.values()]);
  }

  #parse(process: SandboxProcess, frame: Parameters<typeof parseAnswer>[0]): Answer {
    try {
      return parseAnswer(frame, this.#parts.limits);
    } catch (error) {
      const detail = toMessage(error);
      process.kill('protocol', detail);
      this.#parts.log.error({ plugin: this.name, detail }, 'Sandbox process broke the protocol');
      return failed(
        describeDeath({ reason: 'protocol', detail }, { deadlineMs: 0, detail: 'cpu' }),
      );
    }
  }
}

function failed(error: SandboxCallError): Answer {
  return { ok: false, error, droppedLogLines: 0 };
}

/** A block of the kernel is up to a quarter larger than what is in it. */
function kernelPages(inputBytes: number, outputBytes: number): number {
  const bytes = Math.max(KERNEL_BYTES, outputBytes * 1.25) + inputBytes * 1.25;
  return Math.ceil(bytes / PAGE_BYTES);
}
