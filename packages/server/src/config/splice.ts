/**
 * Where in a TOML text an edit goes: each function turns a wish into replacements of ranges, and
 * leaves every byte outside of them as it is. Returns undefined for shapes it does not handle; that
 * the result means what was wished is checked by `edit.ts`.
 */
import type { AST } from 'toml-eslint-parser';
import { keyNames, type TomlPath } from './document.ts';
import { formatKey, formatValue, type TomlValue } from './toml-value.ts';

export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A value in the text, with what is around it. */
interface Found {
  readonly path: TomlPath;
  readonly value: AST.TOMLContentNode;
  readonly pair: AST.TOMLKeyValue | undefined;
}

export function planSet(
  text: string,
  ast: AST.TOMLProgram,
  path: TomlPath,
  value: TomlValue,
): Splice | undefined {
  const found = findDeepest(ast, path);
  const shown = formatValue(value);
  if (found?.path.length === path.length) {
    return { start: found.value.range[0], end: found.value.range[1], text: shown };
  }
  if (found !== undefined) return planInsertInline(found, path, shown);

  const table = findTable(ast, path);
  const rest = toNames(path.slice(table?.resolvedKey.length ?? 0));
  if (rest === undefined) return undefined;
  const line = `${formatKey(rest)} = ${shown}`;
  if (table !== undefined) return planLine(text, table.range[1], line, table.body.at(-1));

  const pairs = ast.body[0].body.filter((node) => node.type === 'TOMLKeyValue');
  const sibling =
    rest.length === 1 ? pairs.at(-1) : pairs.findLast((pair) => keyNames(pair.key)[0] === rest[0]);
  if (sibling !== undefined) return planLine(text, sibling.range[1], line, sibling);
  if (rest.length === 1) return { start: 0, end: 0, text: line + newline(text) };
  const header = `[${formatKey(rest.slice(0, -1))}]`;
  return planBlock(text, text.length, [header, `${formatKey(rest.slice(-1))} = ${shown}`]);
}

export function planRemove(text: string, ast: AST.TOMLProgram, path: TomlPath): Splice | undefined {
  const found = findDeepest(ast, path);
  if (found?.path.length !== path.length || found.pair === undefined) return undefined;
  const { pair } = found;
  if (pair.parent.type !== 'TOMLInlineTable') return wholeLines(text, pair.range);
  const siblings = pair.parent.body;
  const index = siblings.indexOf(pair);
  const before = siblings[index - 1];
  const after = siblings[index + 1];
  return {
    start: before?.range[1] ?? pair.range[0],
    end: before === undefined ? (after?.range[0] ?? pair.range[1]) : pair.range[1],
    text: '',
  };
}

/** Behind the last `[[name]]` with all that belongs to it, else at the end. */
export function planAppendTable(
  text: string,
  ast: AST.TOMLProgram,
  name: string,
  table: Readonly<Record<string, TomlValue>>,
): Splice | undefined {
  const found = findDeepest(ast, [name]);
  if (found !== undefined) {
    if (found.value.type !== 'TOMLArray') return undefined;
    const last = found.value.elements.at(-1);
    if (last !== undefined) return insert(last.range[1], `, ${formatValue(table)}`);
    return {
      start: found.value.range[0],
      end: found.value.range[1],
      text: `[${formatValue(table)}]`,
    };
  }
  const last = tablesUnder(ast, [name]).at(-1);
  const lines = [
    `[[${formatKey([name])}]]`,
    ...Object.entries(table).map(([key, value]) => `${formatKey([key])} = ${formatValue(value)}`),
  ];
  return planBlock(text, last === undefined ? text.length : lineEnd(text, last.range[1]), lines);
}

/** One splice for each part of the element that stands on its own. */
export function planRemoveTable(
  text: string,
  ast: AST.TOMLProgram,
  name: string,
  index: number,
): readonly Splice[] {
  return tablesUnder(ast, [name, index]).map((table) => {
    const lines = wholeLines(text, table.range);
    const blank = /^[ \t]*\r?\n/.exec(text.slice(lines.end));
    return { ...lines, end: lines.end + (blank?.[0].length ?? 0) };
  });
}

/** The value at the path, or the inline table or array closest around it. */
function findDeepest(ast: AST.TOMLProgram, path: TomlPath): Found | undefined {
  for (const node of ast.body[0].body) {
    const [base, pairs] = node.type === 'TOMLTable' ? [node.resolvedKey, node.body] : [[], [node]];
    if (!startsWith(path, base)) continue;
    for (const pair of pairs) {
      const found = findInPair(pair, base, path);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function findInPair(pair: AST.TOMLKeyValue, base: TomlPath, path: TomlPath): Found | undefined {
  const own = [...base, ...keyNames(pair.key)];
  if (!startsWith(path, own)) return undefined;
  return findInValue({ path: own, value: pair.value, pair }, path);
}

function findInValue(found: Found, path: TomlPath): Found {
  if (found.path.length === path.length) return found;
  if (found.value.type === 'TOMLInlineTable') {
    for (const pair of found.value.body) {
      const deeper = findInPair(pair, found.path, path);
      if (deeper !== undefined) return deeper;
    }
  }
  if (found.value.type === 'TOMLArray') {
    const index = path[found.path.length];
    const value = typeof index === 'number' ? found.value.elements[index] : undefined;
    if (value !== undefined && index !== undefined) {
      return findInValue({ path: [...found.path, index], value, pair: undefined }, path);
    }
  }
  return found;
}

/** The table header that is the longest prefix of the path. */
function findTable(ast: AST.TOMLProgram, path: TomlPath): AST.TOMLTable | undefined {
  return ast.body[0].body
    .filter((node) => node.type === 'TOMLTable')
    .filter(
      (table) => table.resolvedKey.length < path.length && startsWith(path, table.resolvedKey),
    )
    .toSorted((left, right) => left.resolvedKey.length - right.resolvedKey.length)
    .at(-1);
}

function tablesUnder(ast: AST.TOMLProgram, path: TomlPath): AST.TOMLTable[] {
  return ast.body[0].body
    .filter((node) => node.type === 'TOMLTable')
    .filter((table) => startsWith(table.resolvedKey, path));
}

function planInsertInline(found: Found, path: TomlPath, shown: string): Splice | undefined {
  const rest = toNames(path.slice(found.path.length));
  if (found.value.type !== 'TOMLInlineTable' || rest === undefined) return undefined;
  const pair = `${formatKey(rest)} = ${shown}`;
  const last = found.value.body.at(-1);
  if (last !== undefined) return insert(last.range[1], `, ${pair}`);
  return { start: found.value.range[0], end: found.value.range[1], text: `{ ${pair} }` };
}

/** A line of its own under the one that ends with `after`, indented like its sibling. */
function planLine(
  text: string,
  after: number,
  line: string,
  sibling: AST.TOMLKeyValue | undefined,
): Splice {
  const at = lineEnd(text, after);
  const indent = ' '.repeat(sibling?.loc.start.column ?? 0);
  const break_ = newline(text);
  return insert(at, endsLine(text, at) ? `${indent}${line}${break_}` : `${break_}${indent}${line}`);
}

/** Lines of their own, set apart by an empty one. */
function planBlock(text: string, at: number, lines: readonly string[]): Splice {
  const break_ = newline(text);
  const before = text.slice(0, at);
  const gap = before.trim() === '' ? '' : break_;
  const finish = endsLine(text, at) ? '' : break_;
  return insert(at, `${finish}${gap}${lines.join(break_)}${break_}`);
}

function wholeLines(text: string, range: AST.Range): Splice {
  const start = text.lastIndexOf('\n', range[0] - 1) + 1;
  return { start, end: lineEnd(text, range[1]), text: '' };
}

function insert(at: number, text: string): Splice {
  return { start: at, end: at, text };
}

/** Offset behind the line break of the line that holds `offset`. */
function lineEnd(text: string, offset: number): number {
  const found = text.indexOf('\n', offset);
  return found === -1 ? text.length : found + 1;
}

function endsLine(text: string, offset: number): boolean {
  return offset === 0 || text[offset - 1] === '\n';
}

function newline(text: string): string {
  return /^[^\n]*\r\n/.test(text) ? '\r\n' : '\n';
}

function startsWith(path: TomlPath, prefix: TomlPath): boolean {
  return prefix.every((part, index) => part === path[index]);
}

function toNames(path: TomlPath): string[] | undefined {
  return path.every((part) => typeof part === 'string') ? [...path] : undefined;
}
