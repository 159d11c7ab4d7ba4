/**
 * Changes to the configuration file that a person keeps writing in: only the bytes of the change
 * are touched, comments and layout stay. Each edit is read back and compared with what was asked
 * for, so a file in a shape that is not understood is refused and never damaged.
 */
import { isDeepStrictEqual } from 'node:util';
import { ExoclawError } from '../lib/error.ts';
import { formatPath } from './diagnostic.ts';
import { parseDocument, type TomlPath, type TomlTable } from './document.ts';
import { planAppendTable, planRemove, planRemoveTable, planSet, type Splice } from './splice.ts';
import type { TomlValue } from './toml-value.ts';

const FILE = 'config.toml';

/**
 * Sets the value at a path, such as `["agent", "model"]`; makes the table where it is missing.
 * @throws {ExoclawError} config_error when the text is not TOML or has to be edited by hand.
 */
export function setValue(text: string, path: TomlPath, value: TomlValue): string {
  const { ast, value: before } = parseDocument(text, FILE);
  const splice = planSet(text, ast, path, value);
  return apply(text, splice && [splice], path, () => {
    let table: unknown = before;
    for (const part of path.slice(0, -1)) table = childOf(table, part);
    write(table, path.at(-1), value);
    return before;
  });
}

/**
 * Removes the key at a path with its line; a key that is not there is no error.
 * @throws {ExoclawError} config_error as `setValue`.
 */
export function removeValue(text: string, path: TomlPath): string {
  const document = parseDocument(text, FILE);
  if (document.locate(path) === undefined || !isWritten(document.value, path)) return text;
  const splice = planRemove(text, document.ast, path);
  return apply(text, splice && [splice], path, () => {
    let table: unknown = document.value;
    for (const part of path.slice(0, -1)) table = childOf(table, part);
    write(table, path.at(-1), undefined);
    return document.value;
  });
}

/**
 * Adds an element to an array of tables, such as `[[plugins]]`, behind the last one.
 * @throws {ExoclawError} config_error as `setValue`.
 */
export function appendTable(
  text: string,
  name: string,
  table: Readonly<Record<string, TomlValue>>,
): string {
  const { ast, value } = parseDocument(text, FILE);
  const splice = planAppendTable(text, ast, name, table);
  return apply(text, splice && [splice], [name], () => {
    const list = Array.isArray(value[name]) ? (value[name] as unknown[]) : [];
    value[name] = [...list, table];
    return value;
  });
}

/**
 * Removes the first element of an array of tables that `matches`, with its sub-tables. Comments
 * above its header stay.
 * @returns the text unchanged when none matches.
 * @throws {ExoclawError} config_error as `setValue`.
 */
export function removeTable(
  text: string,
  name: string,
  matches: (table: Readonly<TomlTable>) => boolean,
): string {
  const { ast, value } = parseDocument(text, FILE);
  const list = Array.isArray(value[name]) ? (value[name] as TomlTable[]) : [];
  const index = list.findIndex(matches);
  if (index === -1) return text;
  return apply(text, planRemoveTable(text, ast, name, index), [name], () => {
    const rest = list.toSpliced(index, 1);
    if (rest.length > 0) value[name] = rest;
    else delete value[name];
    return value;
  });
}

/** Applies the splices and makes sure that they mean what was asked for. */
function apply(
  text: string,
  splices: readonly Splice[] | undefined,
  path: TomlPath,
  expect: () => TomlTable,
): string {
  const refuse = (cause?: unknown): ExoclawError =>
    new ExoclawError(
      'config_error',
      `Cannot change "${formatPath(path)}" in ${FILE} as it is written; edit it by hand`,
      { cause },
    );
  if (splices === undefined || splices.length === 0) throw refuse();
  let edited = text;
  for (const { start, end, text: inserted } of splices.toReversed()) {
    edited = edited.slice(0, start) + inserted + edited.slice(end);
  }
  let after: TomlTable;
  let expected: TomlTable;
  try {
    after = parseDocument(edited, FILE).value;
    expected = expect();
  } catch (error) {
    throw refuse(error);
  }
  if (!isDeepStrictEqual(toPlain(after), toPlain(expected))) throw refuse();
  return edited;
}

function childOf(table: unknown, part: string | number): unknown {
  if (typeof table !== 'object' || table === null) throw new TypeError('Not a table');
  const entries = table as Record<string | number, unknown>;
  return (entries[part] ??= Object.create(null));
}

function write(table: unknown, part: string | number | undefined, value: unknown): void {
  if (typeof table !== 'object' || table === null || part === undefined) {
    throw new TypeError('Not a table');
  }
  const entries = table as Record<string | number, unknown>;
  if (value === undefined) delete entries[part];
  else entries[part] = value;
}

function isWritten(table: TomlTable, path: TomlPath): boolean {
  let value: unknown = table;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return false;
    value = (value as Record<string | number, unknown>)[part];
  }
  return true;
}

/** The same value made of ordinary objects, so that two can be compared. */
function toPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return new Map(Object.entries(value).map(([key, item]) => [key, toPlain(item)]));
}
