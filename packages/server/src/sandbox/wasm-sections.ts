/**
 * The sections of a module that decide something: what it imports, exports and declares. Each
 * function reads one section to its end and refuses what is not allowed in it.
 */
import {
  EXTISM_ENV,
  EXTISM_USER,
  HOST_FUNCTIONS,
  KERNEL_FUNCTIONS,
  WASI,
  WASI_FUNCTIONS,
} from './child/abi.ts';
import { MAX_TABLE_ENTRIES, MODULE_LIMITS, PAGE_BYTES } from './limits.ts';
import { encodeU32, quoteName, refuse, type WasmReader } from './wasm-reader.ts';

export interface ModuleExport {
  readonly name: string;
  readonly kind: 'function' | 'table' | 'memory' | 'global' | 'tag';
  /** Signature of a function, in the notation of `child/abi.ts`. */
  readonly signature?: string;
}

export interface ImportEntry {
  readonly module: string;
  readonly name: string;
  readonly signature: string;
  readonly need?: string;
}

const KINDS = ['function', 'table', 'memory', 'global', 'tag'] as const;

const VALUE_TYPES: ReadonlyMap<number, string> = new Map([
  [0x7f, 'i'],
  [0x7e, 'I'],
  [0x7d, 'f'],
  [0x7c, 'F'],
  [0x7b, 'v'],
  [0x70, 'r'],
  [0x6f, 'e'],
  [0x69, 'x'],
]);

/** Host functions that give access to something, and what it is. */
const NEEDS: ReadonlyMap<string, string> = new Map([
  ['http_request', 'http'],
  ['var_get', 'vars'],
  ['var_set', 'vars'],
  ['config_get', 'config'],
]);

/** A user function may pass handles and numbers, nothing else. */
const USER_SIGNATURE = /^[iI]{0,8}:[iI]?$/;

/** @returns the signature of each type. */
export function readTypes(reader: WasmReader): string[] {
  const count = reader.count(MODULE_LIMITS.types, 'types');
  const types: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const form = reader.u8();
    if (form !== 0x60) {
      refuse(
        form >= 0x4e && form <= 0x5f
          ? 'Module uses garbage-collected types (GC), which are not enabled'
          : `Module is malformed: type ${index} has the unknown form ${form}`,
      );
    }
    types.push(`${readValueTypes(reader)}:${readValueTypes(reader)}`);
  }
  reader.expectEnd();
  return types;
}

function readValueTypes(reader: WasmReader): string {
  const count = reader.count(MODULE_LIMITS.typeValues, 'values in a type');
  let types = '';
  for (let index = 0; index < count; index += 1) types += readValueType(reader);
  return types;
}

function readValueType(reader: WasmReader): string {
  const code = reader.u8();
  const type = VALUE_TYPES.get(code);
  if (type !== undefined) return type;
  return refuse(
    code >= 0x63 && code <= 0x74
      ? 'Module uses typed references (GC), which are not enabled'
      : `Module is malformed: value type ${code} is unknown`,
  );
}

/** Checks each import against the list of functions and the grants. */
export function readImports(
  reader: WasmReader,
  types: readonly string[],
  grants: readonly string[],
): ImportEntry[] {
  const count = reader.count(MODULE_LIMITS.imports, 'imports');
  const imports: ImportEntry[] = [];
  for (let index = 0; index < count; index += 1) {
    const module = reader.name(MODULE_LIMITS.nameBytes);
    const name = reader.name(MODULE_LIMITS.nameBytes);
    const kind = KINDS[reader.u8()];
    const quoted = quoteName(module, name);
    if (kind !== 'function') {
      refuse(
        `Module imports ${kind ?? 'something unknown as'} ${quoted}; only functions can be imported`,
      );
    }
    const signature = types[reader.u32()];
    if (signature === undefined) refuse(`Module is malformed: import ${quoted} has no type`);
    imports.push(checkImport({ module, name, signature }, quoted, grants));
  }
  reader.expectEnd();
  return imports;
}

function checkImport(entry: ImportEntry, quoted: string, grants: readonly string[]): ImportEntry {
  if (entry.module === EXTISM_USER) {
    const grant = `host_function:${entry.name}`;
    if (!grants.includes(grant)) {
      refuse(
        `Module imports ${quoted}, which is not granted; to allow it grant ${quoteName(grant)}`,
      );
    }
    if (!USER_SIGNATURE.test(entry.signature)) refuseSignature(quoted, entry, 'integers only');
    return { ...entry, need: grant };
  }
  const expected = findSignature(entry.module, entry.name);
  if (expected === undefined) {
    refuse(`Module imports ${quoted}, which does not exist in the sandbox${importHint(entry)}`);
  }
  if (entry.signature !== expected) refuseSignature(quoted, entry, describeSignature(expected));
  const need = entry.module === EXTISM_ENV ? NEEDS.get(entry.name) : undefined;
  return need === undefined ? entry : { ...entry, need };
}

function findSignature(module: string, name: string): string | undefined {
  const tables =
    module === EXTISM_ENV
      ? [KERNEL_FUNCTIONS, HOST_FUNCTIONS]
      : module === WASI
        ? [WASI_FUNCTIONS]
        : [];
  for (const table of tables as readonly Readonly<Record<string, string>>[]) {
    if (Object.hasOwn(table, name)) return table[name];
  }
  return undefined;
}

function refuseSignature(quoted: string, entry: ImportEntry, expected: string): never {
  const found = describeSignature(entry.signature);
  refuse(`Module imports ${quoted} as ${found}; its type is ${expected}`);
}

/** `II:i` as `(i64, i64) -> i32`. */
function describeSignature(signature: string): string {
  const names: Readonly<Record<string, string>> = { i: 'i32', I: 'i64', f: 'f32', F: 'f64' };
  const [params = '', results = ''] = signature
    .split(':')
    .map((part) => Array.from(part.slice(0, 16), (letter) => names[letter] ?? 'other').join(', '));
  return `(${params}) -> ${results === '' ? 'nothing' : results}`;
}

/** What an author can do about the imports that compilers add by themselves. */
function importHint({ module, name }: ImportEntry): string {
  if (module === 'extism:env' || (module === 'env' && name.startsWith('extism_'))) {
    return '; build it again with a current Extism PDK';
  }
  if (module === 'env' && name === 'abort') return '; compile AssemblyScript with --use abort=';
  return '';
}

/** @returns the type index of each function the module defines. */
export function readFunctions(reader: WasmReader, typeCount: number): number[] {
  const count = reader.count(MODULE_LIMITS.functions, 'functions');
  const functions: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const type = reader.u32();
    if (type >= typeCount) refuse(`Module is malformed: function ${index} has no type`);
    functions.push(type);
  }
  reader.expectEnd();
  return functions;
}

export function readTables(reader: WasmReader): void {
  const count = reader.count(MODULE_LIMITS.tables, 'tables');
  for (let index = 0; index < count; index += 1) {
    const type = reader.u8();
    if (type !== 0x70 && type !== 0x6f) {
      refuse('Module has a table of typed references (GC), which are not enabled');
    }
    const { initial } = readLimits(reader, 'table');
    if (initial > MAX_TABLE_ENTRIES) {
      refuse(`Module has a table of ${initial} entries; at most ${MAX_TABLE_ENTRIES} are allowed`);
    }
  }
  reader.expectEnd();
}

/**
 * Checks the memory section and gives the memory a maximum.
 * @returns the section that takes its place.
 */
export function rewriteMemory(reader: WasmReader, memoryBytes: number): Uint8Array {
  const count = reader.u32();
  if (count > 1) refuse(`Module has ${count} memories (multi-memory); only one is allowed`);
  const cap = Math.floor(memoryBytes / PAGE_BYTES);
  const declared = count === 1 ? readLimits(reader, 'memory') : undefined;
  reader.expectEnd();
  if (declared === undefined) return Uint8Array.of(5, 1, 0);
  const { initial, maximum } = declared;
  if (initial > cap) {
    refuse(`Module asks for ${initial} pages of memory (64 KiB each); at most ${cap} are allowed`);
  }
  if (maximum !== undefined && maximum < initial) {
    refuse('Module is malformed: the maximum of its memory is below its size');
  }
  const pages = encodeU32(initial);
  const limit = encodeU32(Math.min(maximum ?? cap, cap));
  return Uint8Array.of(5, 2 + pages.length + limit.length, 1, 1, ...pages, ...limit);
}

/** Flags: 1 has a maximum, 2 shared, 4 addresses of 64 bits, 8 its own page size. */
function readLimits(
  reader: WasmReader,
  what: 'table' | 'memory',
): { readonly initial: number; readonly maximum: number | undefined } {
  const flags = reader.u8();
  if ((flags & 2) !== 0) refuse(`Module has a shared ${what} (threads), which is not enabled`);
  if ((flags & 4) !== 0) refuse(`Module has a 64-bit ${what} (memory64), which is not enabled`);
  if ((flags & 8) !== 0)
    refuse(`Module has a ${what} with its own page size, which is not enabled`);
  if (flags > 1) refuse(`Module is malformed: a ${what} has the unknown flags ${flags}`);
  return { initial: reader.u32(), maximum: flags === 1 ? reader.u32() : undefined };
}

export function readExports(
  reader: WasmReader,
  signatureOf: (functionIndex: number) => string,
): ModuleExport[] {
  const count = reader.count(MODULE_LIMITS.exports, 'exports');
  const names = new Set<string>();
  const entries: ModuleExport[] = [];
  for (let index = 0; index < count; index += 1) {
    const name = reader.name(MODULE_LIMITS.nameBytes);
    if (names.has(name)) refuse(`Module is malformed: export ${quoteName(name)} is repeated`);
    names.add(name);
    const kind = KINDS[reader.u8()];
    if (kind === undefined) refuse(`Module is malformed: export ${quoteName(name)} is of no kind`);
    const item = reader.u32();
    entries.push(
      kind === 'function' ? { name, kind, signature: signatureOf(item) } : { name, kind },
    );
  }
  reader.expectEnd();
  return entries;
}

/** @returns the number of function bodies. */
export function walkCode(reader: WasmReader): number {
  const count = reader.count(MODULE_LIMITS.functions, 'function bodies');
  for (let index = 0; index < count; index += 1) {
    const length = reader.u32();
    if (length > MODULE_LIMITS.functionBytes) {
      refuse(
        `Module has a function of ${length} bytes; at most ${MODULE_LIMITS.functionBytes} are allowed`,
      );
    }
    reader.take(length);
  }
  reader.expectEnd();
  return count;
}
