/**
 * A TOML text as a value plus the place of everything in it. The value is built here and not by
 * the parser's own helper, which follows keys such as `__proto__` into the prototypes of built-in
 * objects: tables have no prototype, so any key is just a key.
 */
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import { ConfigError } from './diagnostic.ts';

export type TomlPath = readonly (string | number)[];
export type TomlTable = { [key: string]: unknown };

export interface Place {
  /** Counted from 1. */
  readonly line: number;
  readonly column: number;
}

export interface TomlDocument {
  readonly ast: AST.TOMLProgram;
  readonly value: TomlTable;
  /**
   * Where a path is written: its value, or its key with `at: 'key'`. For something that is not in
   * the text, the closest table around it that is; undefined when there is none.
   */
  locate(path: readonly PropertyKey[], at?: 'key' | 'value'): Place | undefined;
}

/** @throws {ConfigError} with the line and column of the first syntax error. */
export function parseDocument(text: string, file: string): TomlDocument {
  const ast = parseSyntax(text, file);
  const places = new Map<string, { key: Place; value: Place }>();
  const value: TomlTable = Object.create(null);

  const note = (path: TomlPath, key: AST.HasLocs, content: AST.HasLocs): void => {
    const id = JSON.stringify(path);
    // A table made by a dotted key or a sub-table stands where it is first mentioned.
    if (!places.has(id)) places.set(id, { key: toPlace(key), value: toPlace(content) });
  };
  const read = (node: AST.TOMLContentNode, path: TomlPath): unknown => {
    if (node.type === 'TOMLValue') return node.value;
    if (node.type === 'TOMLArray') {
      return node.elements.map((element, index) => {
        note([...path, index], element, element);
        return read(element, [...path, index]);
      });
    }
    const table: TomlTable = Object.create(null);
    for (const pair of node.body) assign(table, pair, path);
    return table;
  };
  const assign = (table: TomlTable, pair: AST.TOMLKeyValue, base: TomlPath): void => {
    const names = keyNames(pair.key);
    let target = table;
    let path = base;
    for (const [index, name] of names.slice(0, -1).entries()) {
      path = [...path, name];
      note(path, pair.key.keys[index] ?? pair.key, pair.key);
      target = child(target, name);
    }
    const last = names.at(-1) ?? '';
    path = [...path, last];
    note(path, pair.key.keys.at(-1) ?? pair.key, pair.value);
    target[last] = read(pair.value, path);
  };

  for (const node of ast.body[0].body) {
    if (node.type === 'TOMLKeyValue') {
      assign(value, node, []);
      continue;
    }
    for (let depth = 1; depth <= node.resolvedKey.length; depth += 1) {
      note(node.resolvedKey.slice(0, depth), node.key, node.key);
    }
    const table = descend(value, node.resolvedKey);
    for (const pair of node.body) assign(table, pair, node.resolvedKey);
  }

  return {
    ast,
    value,
    locate: (path, at = 'value') => {
      for (let depth = path.length; depth > 0; depth -= 1) {
        const found = places.get(JSON.stringify(path.slice(0, depth)));
        if (found !== undefined) return found[depth === path.length ? at : 'key'];
      }
      return undefined;
    },
  };
}

export function keyNames(key: AST.TOMLKey): string[] {
  return key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value));
}

function parseSyntax(text: string, file: string): AST.TOMLProgram {
  try {
    return parseTOML(text, { filePath: file });
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const message = `${error.message.replace(/\.$/, '')} (this is not valid TOML)`;
    const place = { line: error.lineNumber, column: error.column + 1 };
    throw new ConfigError([{ file, ...place, path: '', message }], { cause: error });
  }
}

function toPlace(node: AST.HasLocs): Place {
  return { line: node.loc.start.line, column: node.loc.start.column + 1 };
}

/** The table at a header's path, made on the way; the parser has checked that it can be. */
function descend(root: TomlTable, path: TomlPath): TomlTable {
  let target = root;
  for (const [index, part] of path.entries()) {
    if (typeof part === 'number') continue;
    const next = path[index + 1];
    if (typeof next !== 'number') {
      target = child(target, part);
      continue;
    }
    const list = (target[part] ??= []) as TomlTable[];
    target = list[next] ??= Object.create(null) as TomlTable;
  }
  return target;
}

function child(table: TomlTable, name: string): TomlTable {
  return (table[name] ??= Object.create(null)) as TomlTable;
}
