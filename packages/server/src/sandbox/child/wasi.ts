/**
 * WASI preview 1 with nothing behind it: no arguments, no environment, no files, no sockets. A
 * clock that comes from the call, seeded randomness, and standard output that becomes log lines.
 * Every pointer is checked against the guest's memory as it is at that moment.
 */
import { WASI_FUNCTIONS } from './abi.ts';
import { GuestStop, type GuestCall } from './guest-call.ts';

const ERRNO = { success: 0, badf: 8, fault: 21, inval: 28, notcapable: 76 } as const;
const CLOCK_RESOLUTION_NS = 1_000n;
const MAX_IOVECS = 1_024;

type WasiFunction = (...args: never[]) => number;
type GuestMemory = () => WebAssembly.Memory | undefined;

interface Shim {
  readonly call: GuestCall;
  /** The memory exported as "memory"; undefined while the start section runs. */
  readonly memory: GuestMemory;
}

const IMPLEMENTED: Readonly<Record<string, (shim: Shim) => WasiFunction>> = {
  args_get: () => () => ERRNO.success,
  args_sizes_get: writeZeros,
  environ_get: () => () => ERRNO.success,
  environ_sizes_get: writeZeros,
  clock_res_get: (shim) => (clock: number, resultAt: number) =>
    isClock(clock)
      ? access(shim, (view) => view.setBigUint64(resultAt >>> 0, CLOCK_RESOLUTION_NS, true))
      : ERRNO.inval,
  clock_time_get: (shim) => (clock: number, _precision: bigint, resultAt: number) => {
    if (!isClock(clock)) return ERRNO.inval;
    const ms = clock === 0 ? shim.call.nowMs() : shim.call.elapsedMs();
    const ns = BigInt(Math.round(ms * 1_000)) * 1_000n;
    return access(shim, (view) => view.setBigUint64(resultAt >>> 0, ns, true));
  },
  random_get: (shim) => (at: number, length: number) =>
    access(shim, (view) => shim.call.random.readInto(slice(view, at, length))),
  fd_read: (shim) => (fd: number, _iovecs: number, _count: number, resultAt: number) =>
    fd === 0 ? access(shim, (view) => view.setUint32(resultAt >>> 0, 0, true)) : ERRNO.badf,
  fd_write: (shim) => (fd: number, iovecs: number, count: number, resultAt: number) => {
    if (fd !== 1 && fd !== 2) return ERRNO.badf;
    if (count >>> 0 > MAX_IOVECS) return ERRNO.inval;
    return access(shim, (view) => {
      const { text, total } = gather(view, iovecs, count, shim.call.limits.logBytes);
      shim.call.log(fd === 1 ? 'info' : 'warn', text);
      view.setUint32(resultAt >>> 0, total, true);
    });
  },
  sched_yield: () => () => ERRNO.success,
  proc_exit: (shim) => (code: number) => shim.call.exit(code),
};

/** The function to link for an import of WASI; undefined when the name is not part of it. */
export function makeWasiFunction(
  call: GuestCall,
  memory: GuestMemory,
  name: string,
): WasiFunction | undefined {
  if (!Object.hasOwn(WASI_FUNCTIONS, name)) return undefined;
  if (Object.hasOwn(IMPLEMENTED, name)) return IMPLEMENTED[name]?.({ call, memory });
  return name.startsWith('fd_') ? () => ERRNO.badf : () => ERRNO.notcapable;
}

/** Runs something on the guest's memory; an address outside of it is the guest's error. */
function access(shim: Shim, run: (view: DataView) => void): number {
  const memory = shim.memory();
  if (memory === undefined) return ERRNO.fault;
  try {
    run(new DataView(memory.buffer));
    return ERRNO.success;
  } catch (error) {
    if (error instanceof RangeError && !(error instanceof GuestStop)) return ERRNO.fault;
    throw error;
  }
}

function slice(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, at >>> 0, length >>> 0);
}

function writeZeros(shim: Shim): WasiFunction {
  return (firstAt: number, secondAt: number) =>
    access(shim, (view) => {
      view.setUint32(firstAt >>> 0, 0, true);
      view.setUint32(secondAt >>> 0, 0, true);
    });
}

function isClock(clock: number): boolean {
  return clock >= 0 && clock <= 3;
}

/** Joins the buffers of a scattered write, up to a limit, without its last line break. */
function gather(
  view: DataView,
  iovecs: number,
  count: number,
  maxBytes: number,
): { readonly text: Uint8Array; readonly total: number } {
  const parts: Uint8Array[] = [];
  let kept = 0;
  let total = 0;
  for (let index = 0; index < count >>> 0; index += 1) {
    const entry = (iovecs >>> 0) + 8 * index;
    const part = slice(view, view.getUint32(entry, true), view.getUint32(entry + 4, true));
    const cut = part.subarray(0, maxBytes - kept);
    if (cut.length > 0) parts.push(cut);
    kept += cut.length;
    total += part.length;
  }
  const text = Buffer.concat(parts);
  return { text: text.at(-1) === 0x0a ? text.subarray(0, -1) : text, total: total >>> 0 };
}
