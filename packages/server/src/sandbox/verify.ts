/**
 * The first wall: walks every section of a module before an engine sees it and refuses what the
 * sandbox does not offer. Pure; a module passes only when its sections stand in order and their
 * lengths are true, it imports nothing but known functions with their exact types and the grants
 * they need, has at most one plain memory, and stays in the limits. What passes is rewritten: the memory gets a maximum, custom
 * sections are gone. Instructions and constant expressions are the engine's to validate, in the
 * sandbox process.
 */
import { MODULE_LIMITS } from './limits.ts';
import { quoteName, refuse, WasmReader } from './wasm-reader.ts';
import {
  readExports,
  readFunctions,
  readImports,
  readTables,
  readTypes,
  rewriteMemory,
  walkCode,
  type ImportEntry,
  type ModuleExport,
} from './wasm-sections.ts';

export interface ModuleInfo {
  readonly exports: readonly ModuleExport[];
  readonly imports: readonly { readonly module: string; readonly name: string }[];
  /** What the imports could use: `http`, `vars`, `config` and `host_function:NAME`. */
  readonly needs: readonly string[];
}

export interface VerifyOptions {
  readonly grants: readonly string[];
  /** Largest memory of the guest in bytes; a whole page of 64 KiB at least. */
  readonly memoryBytes: number;
}

interface SectionKind {
  readonly name: string;
  /** Place in a module; the tag and the data count section do not stand where their id is. */
  readonly order: number;
}

const SECTIONS: ReadonlyMap<number, SectionKind> = new Map(
  (
    [
      [1, 'type'],
      [2, 'import'],
      [3, 'function'],
      [4, 'table'],
      [5, 'memory'],
      [13, 'tag'],
      [6, 'global'],
      [7, 'export'],
      [8, 'start'],
      [9, 'element'],
      [12, 'data count'],
      [10, 'code'],
      [11, 'data'],
    ] as const
  ).map(([id, name], order) => [id, { name, order }]),
);

/**
 * Checks a module and returns the bytes to compile.
 * @throws {SandboxLoadError} `plugin_rejected`, naming the import, the feature or the limit.
 */
export function verify(
  bytes: Uint8Array,
  options: VerifyOptions,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly info: ModuleInfo } {
  checkHeader(bytes);
  const reader = new WasmReader(bytes, 'module');
  const chunks: Uint8Array[] = [reader.take(8)];
  const module = new ModuleState(options);
  let lastOrder = -1;
  while (!reader.isAtEnd) {
    const start = reader.at;
    const id = reader.u8();
    const body = reader.take(reader.u32());
    if (id === 0) continue;
    const section = SECTIONS.get(id);
    if (section === undefined) refuse(`Module has an unknown section with id ${id}`);
    if (section.order <= lastOrder) {
      refuse(`Module is malformed: the ${section.name} section is repeated or out of order`);
    }
    lastOrder = section.order;
    const rewritten = module.readSection(id, new WasmReader(body, `${section.name} section`));
    chunks.push(rewritten ?? bytes.subarray(start, reader.at));
  }
  module.finish();
  return { bytes: new Uint8Array(Buffer.concat(chunks)), info: module.info() };
}

function checkHeader(bytes: Uint8Array): void {
  if (bytes.length > MODULE_LIMITS.bytes) {
    refuse(`Module of ${bytes.length} bytes passes the limit of ${MODULE_LIMITS.bytes}`);
  }
  const magic = Buffer.from(bytes.subarray(0, 8)).toString('hex');
  if (!magic.startsWith('0061736d')) refuse('File is no WebAssembly module');
  if (magic === '0061736d0d000100') {
    refuse('File is a WebAssembly component; build it as a core module with an Extism PDK');
  }
  if (magic !== '0061736d01000000') refuse('File is no WebAssembly module of version 1');
}

/** What the sections read so far have said. */
class ModuleState {
  readonly #options: VerifyOptions;
  #types: readonly string[] = [];
  #imports: readonly ImportEntry[] = [];
  #functions: readonly number[] = [];
  #exports: readonly ModuleExport[] = [];
  #bodies = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
  }

  /** @returns the bytes that take the section's place, when it is not copied as it is. */
  readSection(id: number, reader: WasmReader): Uint8Array | undefined {
    switch (id) {
      case 1:
        this.#types = readTypes(reader);
        return undefined;
      case 2:
        this.#imports = readImports(reader, this.#types, this.#options.grants);
        return undefined;
      case 3:
        this.#functions = readFunctions(reader, this.#types.length);
        return undefined;
      case 4:
        readTables(reader);
        return undefined;
      case 5:
        return rewriteMemory(reader, this.#options.memoryBytes);
      case 6:
        reader.count(MODULE_LIMITS.globals, 'globals');
        return undefined;
      case 7:
        this.#exports = readExports(reader, (index) => this.#signature(index));
        return undefined;
      case 9:
        reader.count(MODULE_LIMITS.elementSegments, 'element segments');
        return undefined;
      case 10:
        this.#bodies = walkCode(reader);
        return undefined;
      case 11:
        reader.count(MODULE_LIMITS.dataSegments, 'data segments');
        return undefined;
      case 13:
        reader.count(MODULE_LIMITS.tags, 'tags');
        return undefined;
      default:
        reader.u32();
        reader.expectEnd();
        return undefined;
    }
  }

  finish(): void {
    if (this.#bodies !== this.#functions.length) {
      refuse('Module is malformed: it has not one body for each function');
    }
  }

  info(): ModuleInfo {
    const needs = new Set(this.#imports.flatMap((entry) => (entry.need ? [entry.need] : [])));
    return {
      exports: this.#exports,
      imports: this.#imports.map(({ module, name }) => ({ module, name })),
      needs: [...needs],
    };
  }

  /** Imported functions come first in the index space, and only functions are imported. */
  #signature(index: number): string {
    const imported = this.#imports[index];
    if (imported !== undefined) return imported.signature;
    const type = this.#functions[index - this.#imports.length];
    const signature = type === undefined ? undefined : this.#types[type];
    return signature ?? refuse('Module is malformed: it exports a function it does not have');
  }
}

/**
 * Checks that an export can be called: a function without parameters, with an i32 or no result.
 * @throws {SandboxLoadError} `plugin_rejected`, naming the export and what is wrong with it.
 */
export function checkCallable(info: ModuleInfo, name: string): void {
  const entry = info.exports.find((item) => item.name === name);
  if (entry === undefined) refuse(`Plugin has no export ${quoteName(name)}`);
  if (entry.kind !== 'function') refuse(`Export ${quoteName(name)} is a ${entry.kind}`);
  if (entry.signature !== ':' && entry.signature !== ':i') {
    refuse(`Export ${quoteName(name)} must take no parameters and return an i32 or nothing`);
  }
}
