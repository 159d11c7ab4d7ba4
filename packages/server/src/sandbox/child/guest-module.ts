/**
 * A compiled module and one call of it: a fresh instance with a fresh kernel, imports that hold
 * the asked names and nothing else, start-up functions, the export, the output. Everything is
 * dropped afterwards. The instance's exports are never returned or awaited: a guest may export
 * `then`.
 */
import { EXTISM_ENV, EXTISM_USER, KERNEL_FUNCTIONS, WASI } from './abi.ts';
import { GuestStop, type GuestCall } from './guest-call.ts';
import { makeHostFunction, makeUserFunction } from './host-functions.ts';
import type { GuestErrorCode } from './messages.ts';
import { makeWasiFunction } from './wasi.ts';

type GuestOutcome =
  | { readonly ok: true; readonly output: Uint8Array }
  | {
      readonly ok: false;
      readonly code: GuestErrorCode;
      readonly message: string;
      readonly grant?: string;
    };

type Failure = Extract<GuestOutcome, { ok: false }>;

const decoder = new TextDecoder();

export class GuestModule {
  readonly #module: WebAssembly.Module;
  readonly #imports: readonly { readonly module: string; readonly name: string }[];
  readonly #functions: ReadonlySet<string>;

  /** @throws {WebAssembly.CompileError} when the engine refuses the bytes. */
  constructor(bytes: Uint8Array) {
    this.#module = new WebAssembly.Module(bytes);
    this.#imports = WebAssembly.Module.imports(this.#module);
    this.#functions = new Set(
      WebAssembly.Module.exports(this.#module)
        .filter((entry) => entry.kind === 'function')
        .map((entry) => entry.name),
    );
  }

  /** @param fn Name of the export; empty runs the start-up functions only. */
  run(fn: string, call: GuestCall): GuestOutcome {
    let instance: WebAssembly.Instance | undefined;
    try {
      const imports = this.#link(call, () => instance);
      instance = new WebAssembly.Instance(this.#module, imports);
      this.#start(instance, call);
      const status = fn === '' ? 0 : this.#invoke(instance, fn);
      return stoppedBy(call) ?? readResult(call, status);
    } catch (error) {
      return stoppedBy(call) ?? describeTrap(error, memoryOf(instance), call);
    }
  }

  /** Null-prototype objects, so that no name reaches a property nobody put there. */
  #link(call: GuestCall, instance: () => WebAssembly.Instance | undefined): object {
    const imports: Record<string, Record<string, unknown>> = Object.create(null);
    for (const { module, name } of this.#imports) {
      imports[module] ??= Object.create(null) as Record<string, unknown>;
      imports[module][name] = resolveImport(call, () => memoryOf(instance()), module, name);
    }
    return imports;
  }

  #start(instance: WebAssembly.Instance, call: GuestCall): void {
    const first = this.#functions.has('_initialize') ? '_initialize' : '_start';
    if (this.#functions.has(first)) {
      call.isStarting = first === '_start';
      try {
        this.#invoke(instance, first);
      } catch (error) {
        if (!(error instanceof GuestStop) || call.isStopped) throw error;
      }
      call.isStarting = false;
    }
    // The runtime of Haskell takes argc and argv.
    if (this.#functions.has('hs_init')) this.#invoke(instance, 'hs_init', 0, 0);
  }

  #invoke(instance: WebAssembly.Instance, name: string, ...args: number[]): unknown {
    if (!this.#functions.has(name)) throw new TypeError(`no export "${name}"`);
    return (instance.exports[name] as (...values: number[]) => unknown)(...args);
  }
}

function resolveImport(
  call: GuestCall,
  memory: () => WebAssembly.Memory | undefined,
  module: string,
  name: string,
): unknown {
  if (module === EXTISM_USER) return makeUserFunction(call, name);
  if (module === WASI) return makeWasiFunction(call, memory, name);
  if (module !== EXTISM_ENV) return undefined;
  return Object.hasOwn(KERNEL_FUNCTIONS, name)
    ? call.kernel.functionNamed(name)
    : makeHostFunction(call, name);
}

function memoryOf(instance: WebAssembly.Instance | undefined): WebAssembly.Memory | undefined {
  const memory = instance?.exports['memory'];
  return memory instanceof WebAssembly.Memory ? memory : undefined;
}

/** The error of a sticky flag: it holds whatever the guest did afterwards. */
function stoppedBy(call: GuestCall): Failure | undefined {
  if (call.denial !== undefined) return { ok: false, code: 'denied', ...call.denial };
  if (call.exitCode === undefined) return undefined;
  return { ok: false, code: 'guest_trap', message: `Plugin exited with code ${call.exitCode}` };
}

/** Output and error both set: the error counts. */
function readResult(call: GuestCall, status: unknown): GuestOutcome {
  const { kernel, limits } = call;
  const handle = kernel.errorHandle();
  if (handle !== 0n) {
    const text = kernel.read(handle, Number.MAX_SAFE_INTEGER) ?? new Uint8Array(0);
    const message = decoder.decode(text.subarray(0, limits.errorBytes));
    return { ok: false, code: 'guest_error', message };
  }
  if (status !== 0 && status !== undefined) {
    const message = `Plugin returned ${typeof status === 'number' ? status : typeof status}`;
    return { ok: false, code: 'guest_error', message };
  }
  if (kernel.outputLength > limits.outputBytes) {
    const message = `Output of ${kernel.outputLength} bytes passes the limit of ${limits.outputBytes}`;
    return { ok: false, code: 'output_invalid', message };
  }
  const output = kernel.output();
  if (output !== undefined) return { ok: true, output };
  return { ok: false, code: 'output_invalid', message: 'Output does not lie in the memory' };
}

function describeTrap(
  error: unknown,
  memory: WebAssembly.Memory | undefined,
  call: GuestCall,
): Failure {
  const text = error instanceof Error ? error.message : 'uncaught exception';
  const isOutOfMemory =
    text.includes('could not allocate memory') ||
    (memory !== undefined && memory.buffer.byteLength >= call.limits.memoryBytes);
  if (isOutOfMemory) {
    const message = `Plugin used up its memory of ${call.limits.memoryBytes} bytes: ${text}`;
    return { ok: false, code: 'memory_limit', message };
  }
  return { ok: false, code: 'guest_trap', message: `Plugin trapped: ${text}` };
}
