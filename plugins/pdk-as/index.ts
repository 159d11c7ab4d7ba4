// The guest's side of the Extism ABI for AssemblyScript: text in, text out, as UTF-8 bytes.
// Compile with `--runtime stub --use abort=plugins/pdk-as/index/trap`.

@external("extism:host/env", "alloc")
declare function alloc(length: u64): u64;
@external("extism:host/env", "length")
declare function length(handle: u64): u64;
@external("extism:host/env", "load_u8")
declare function load_u8(offset: u64): u32;
@external("extism:host/env", "load_u64")
declare function load_u64(offset: u64): u64;
@external("extism:host/env", "store_u8")
declare function store_u8(offset: u64, value: u32): void;
@external("extism:host/env", "store_u64")
declare function store_u64(offset: u64, value: u64): void;
@external("extism:host/env", "input_offset")
declare function input_offset(): u64;
@external("extism:host/env", "output_set")
declare function output_set(offset: u64, length: u64): void;
@external("extism:host/env", "error_set")
declare function error_set(offset: u64): void;
@external("extism:host/env", "config_get")
declare function config_get(key: u64): u64;
@external("extism:host/env", "log_info")
declare function log_info(message: u64): void;

// The input of this call.
export function input(): Uint8Array {
  return read(input_offset());
}

// Sets the output of this call.
export function output(bytes: Uint8Array): void {
  output_set(write(bytes), bytes.length);
}

// Sets the error of this call; return 1 after it.
export function error(message: string): void {
  error_set(write(encode(message)));
}

// The value under a key of the plugin's configuration, or null.
export function config(key: string): string | null {
  const value = config_get(write(encode(key)));
  return value == 0 ? null : decode(read(value));
}

export function log(message: string): void {
  log_info(write(encode(message)));
}

export function encode(text: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(text));
}

export function decode(bytes: Uint8Array): string {
  return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length);
}

export function concat(parts: Uint8Array[]): Uint8Array {
  let total = 0;
  for (let i = 0; i < parts.length; i++) total += parts[i].length;
  const joined = new Uint8Array(total);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    joined.set(parts[i], at);
    at += parts[i].length;
  }
  return joined;
}

// Stands in for `env.abort`, which the sandbox does not have.
export function trap(message: usize, file: usize, line: u32, column: u32): void {
  unreachable();
}

function read(handle: u64): Uint8Array {
  const bytes = new Uint8Array(<i32>length(handle));
  const words = bytes.length & ~7;
  for (let i = 0; i < words; i += 8) store<u64>(bytes.dataStart + i, load_u64(handle + i));
  for (let i = words; i < bytes.length; i++) store<u8>(bytes.dataStart + i, <u8>load_u8(handle + i));
  return bytes;
}

function write(bytes: Uint8Array): u64 {
  const handle = alloc(bytes.length);
  const words = bytes.length & ~7;
  for (let i = 0; i < words; i += 8) store_u64(handle + i, load<u64>(bytes.dataStart + i));
  for (let i = words; i < bytes.length; i++) store_u8(handle + i, load<u8>(bytes.dataStart + i));
  return handle;
}
