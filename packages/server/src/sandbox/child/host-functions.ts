/**
 * The host functions of the Extism ABI, answered from what came with the call. A handle is a
 * signed 64-bit integer of the guest's choosing; only the kernel turns it into bytes.
 */
import { EXTISM_ENV, EXTISM_USER, type HOST_FUNCTIONS } from './abi.ts';
import type { GuestCall, LogLevel } from './guest-call.ts';

type HostFunction = (...args: never[]) => bigint | number | void;
type HostFunctionName = keyof typeof HOST_FUNCTIONS;

const MAX_KEY_BYTES = 256;
/** `debug`: what the guest writes for tracing only is not worth its place in the log's limits. */
const LOG_LEVEL = 1;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

const MAKERS: Readonly<Record<HostFunctionName, (call: GuestCall) => HostFunction>> = {
  config_get: (call) => (handle: bigint) => {
    call.countHostCall();
    const key = takeKey(call, handle);
    const value = key === undefined ? undefined : call.config.get(key);
    return value === undefined ? 0n : call.kernel.write(encoder.encode(value));
  },
  var_get: (call) => (handle: bigint) => {
    call.countHostCall();
    const key = takeKey(call, handle);
    const value = key === undefined ? undefined : call.vars.get(key);
    return value === undefined ? 0n : call.kernel.write(value);
  },
  var_set: (call) => (handle: bigint, valueHandle: bigint) => {
    call.countHostCall();
    const key = takeKey(call, handle);
    if (key === undefined) return;
    if (valueHandle === 0n) {
      call.setVar(key, undefined);
      return;
    }
    const value = call.kernel.read(valueHandle, Number.MAX_SAFE_INTEGER);
    if (value === undefined) return;
    if (value.length > call.limits.varBytes) {
      call.deny({ message: `Vars would pass their quota of ${call.limits.varBytes} bytes` });
    }
    call.setVar(key, value.slice());
  },
  http_request: (call) => () =>
    call.deny({
      message: `Host function "${EXTISM_ENV}.http_request" is not available in this version`,
    }),
  http_status_code: () => () => 0,
  http_headers: () => () => 0n,
  log_trace: (call) => logger(call, 'trace'),
  log_debug: (call) => logger(call, 'debug'),
  log_info: (call) => logger(call, 'info'),
  log_warn: (call) => logger(call, 'warn'),
  log_error: (call) => logger(call, 'error'),
  get_log_level: () => () => LOG_LEVEL,
};

/** The function to link for an import of `extism:host/env`; undefined when there is none. */
export function makeHostFunction(call: GuestCall, name: string): HostFunction | undefined {
  return Object.hasOwn(MAKERS, name) ? MAKERS[name as HostFunctionName](call) : undefined;
}

/** The function to link for an import of `extism:host/user`. */
export function makeUserFunction(call: GuestCall, name: string): HostFunction {
  return () =>
    call.deny({
      message: `Host function "${EXTISM_USER}.${name}" is not available in this version`,
    });
}

/** The text in a block, which is freed as other hosts of this ABI do. */
function takeKey(call: GuestCall, handle: bigint): string | undefined {
  const bytes = call.kernel.read(handle, MAX_KEY_BYTES);
  if (bytes === undefined) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    // Not UTF-8: no key of ours, so there is nothing under it.
    return undefined;
  } finally {
    call.kernel.free(handle);
  }
}

function logger(call: GuestCall, level: LogLevel): HostFunction {
  return (handle: bigint) => {
    const text = call.kernel.read(handle, Number.MAX_SAFE_INTEGER);
    if (text !== undefined) call.log(level, text);
    call.kernel.free(handle);
  };
}
