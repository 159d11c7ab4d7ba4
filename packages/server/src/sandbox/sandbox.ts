/**
 * Opens the sandbox: WebAssembly that the verifier let through, in a process of its own per plugin
 * content, with nothing but what the operator granted. This file is the way in.
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { ExoclawError, toMessage } from '../lib/error.ts';
import { createSilentLog, type Log } from '../lib/log.ts';
import { DEFAULT_LIMITS, resolveLimits } from './limits.ts';
import { LoadedPlugin } from './loaded-plugin.ts';
import {
  SandboxLoadError,
  type LoadOptions,
  type PluginLimits,
  type Sandbox,
  type SandboxPlugin,
  type SandboxStatus,
  type VarStore,
} from './plugin.ts';
import { ProcessPool } from './pool.ts';
import { SandboxProcess } from './process.ts';
import { findRuntime } from './runtime.ts';
import { createMemoryVarStore } from './vars.ts';
import { verify } from './verify.ts';

const IDLE_MS = 60_000;

const LEVELS = ['seatbelt', 'basic', 'strong', 'full'] as const;

export interface SandboxOptions {
  /** Refuse to open below this level. Default `seatbelt`, the only one there is so far. */
  readonly minimum?: SandboxStatus['level'];
  /** Limits of every plugin that names none of its own. */
  readonly limits?: Partial<PluginLimits>;
  /** Default: vars live in memory. */
  readonly vars?: VarStore;
  /** Processes beside the spare one; default by the number of cores. */
  readonly maxProcesses?: number;
  /** The ABI kernel; default the built one. */
  readonly kernel?: Uint8Array;
  readonly log?: Log;
}

/**
 * Opens the sandbox and waits until its first process runs.
 * @throws {ExoclawError} `config_error` below the minimum level, `internal` when the kernel is not
 *   built or no process starts.
 * @throws {RangeError} for a limit that cannot be given.
 */
export async function openSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { minimum = 'seatbelt', log = createSilentLog() } = options;
  const level = 'seatbelt';
  if (LEVELS.indexOf(minimum) > LEVELS.indexOf(level)) {
    throw new ExoclawError(
      'config_error',
      `Sandbox level is "${level}", below the minimum "${minimum}"; lower sandbox.minimum to start`,
    );
  }
  const limits = resolveLimits(DEFAULT_LIMITS, options.limits);
  const runtime = await findRuntime(options.kernel);
  const pool = new ProcessPool({
    start: () => SandboxProcess.start(runtime),
    maxProcesses: options.maxProcesses ?? Math.max(2, Math.min(8, 2 * availableParallelism())),
    idleMs: IDLE_MS,
    log,
  });
  try {
    await pool.warmUp();
  } catch (error) {
    await pool[Symbol.asyncDispose]();
    throw new ExoclawError('internal', 'Sandbox process did not start', { cause: error });
  }
  return new OpenSandbox(pool, limits, options.vars ?? createMemoryVarStore(), log);
}

class OpenSandbox implements Sandbox {
  readonly #pool: ProcessPool;
  readonly #limits: PluginLimits;
  readonly #vars: VarStore;
  readonly #log: Log;
  readonly #plugins = new Set<LoadedPlugin>();

  constructor(pool: ProcessPool, limits: PluginLimits, vars: VarStore, log: Log) {
    this.#pool = pool;
    this.#limits = limits;
    this.#vars = vars;
    this.#log = log;
  }

  async load(options: LoadOptions): Promise<SandboxPlugin> {
    const digest = createHash('sha256').update(options.bytes).digest('hex');
    const limits = this.#limitsOf(options);
    const { bytes, info } = verify(options.bytes, {
      grants: options.grants,
      memoryBytes: limits.memoryBytes,
    });
    const plugin: LoadedPlugin = new LoadedPlugin({
      name: options.name,
      digest,
      bytes,
      info,
      config: grantedConfig(options),
      limits,
      lane: this.#pool.lane(digest),
      vars: this.#vars,
      log: this.#log,
      onClosed: () => this.#plugins.delete(plugin),
    });
    this.#plugins.add(plugin);
    try {
      await plugin.prepare();
    } catch (error) {
      await plugin[Symbol.asyncDispose]();
      throw error;
    }
    return plugin;
  }

  status(): SandboxStatus {
    let calls = 0;
    for (const plugin of this.#plugins) calls += plugin.calls;
    return {
      level: 'seatbelt',
      walls: ['wasm', 'process'],
      summary:
        'sandbox: wasm + process with Node permission flags; no kernel filter yet, so an escape ' +
        'from the engine would have the rights of this user',
      processes: this.#pool.size,
      calls,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
    this.#plugins.clear();
  }

  #limitsOf(options: LoadOptions): PluginLimits {
    try {
      return resolveLimits(this.#limits, options.limits);
    } catch (error) {
      throw new SandboxLoadError('plugin_rejected', toMessage(error), { cause: error });
    }
  }
}

/** The values with a `config:KEY` grant; nothing else reaches the process. */
function grantedConfig({ config = {}, grants }: LoadOptions): [string, string][] {
  return Object.entries(config).filter(([key]) => grants.includes(`config:${key}`));
}
