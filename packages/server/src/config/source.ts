/** The values to check: those of the file, with what was said over them, and where each came from. */
import { type Diagnostic, formatPath } from './diagnostic.ts';
import type { TomlDocument, TomlTable } from './document.ts';

export class Source {
  readonly value: TomlTable;
  readonly #document: TomlDocument;
  readonly #path: string;
  readonly #origins = new Map<string, string>();

  constructor(document: TomlDocument, path: string) {
    this.#document = document;
    this.#path = path;
    this.value = document.value;
  }

  /** Puts a value from a flag or variable, named by `origin`, over that of the file. */
  override(path: readonly string[], value: string | number, origin: string): void {
    let table = this.value;
    for (const part of path.slice(0, -1)) {
      const next = (table[part] ??= Object.create(null));
      // Not a table: that is reported for the file, and this value has no place to go.
      if (typeof next !== 'object' || next === null || Array.isArray(next)) return;
      table = next as TomlTable;
    }
    const last = path.at(-1) ?? '';
    table[last] = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
    this.#origins.set(JSON.stringify(path), origin);
  }

  /** What stands at a path now; undefined when nothing does. */
  read(path: readonly PropertyKey[]): unknown {
    let value: unknown = this.value;
    for (const part of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) {
        return undefined;
      }
      value = (value as Record<PropertyKey, unknown>)[part];
    }
    return value;
  }

  /** Where a path was written. */
  at(
    path: readonly PropertyKey[],
    at: 'key' | 'value' = 'value',
  ): Pick<Diagnostic, 'file' | 'line' | 'column'> {
    const origin = this.#origins.get(JSON.stringify(path));
    const place = origin === undefined ? this.#document.locate(path, at) : undefined;
    return { file: origin ?? this.#path, line: place?.line, column: place?.column };
  }

  diagnose(path: readonly PropertyKey[], message: string, at?: 'key'): Diagnostic {
    return { ...this.at(path, at), path: formatPath(path), message };
  }
}
