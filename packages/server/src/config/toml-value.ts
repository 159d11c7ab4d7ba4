/** Values and keys as TOML text, on one line. */

export type TomlValue =
  | string
  | number
  | boolean
  | readonly TomlValue[]
  | { readonly [key: string]: TomlValue };

/** @throws {RangeError} for a number TOML has no portable form of. */
export function formatValue(value: TomlValue): string {
  if (typeof value === 'string') return formatString(value);
  if (typeof value === 'number') return formatNumber(value);
  if (typeof value === 'boolean') return String(value);
  if (isList(value)) return `[${value.map(formatValue).join(', ')}]`;
  const pairs = Object.entries(value).map(
    ([key, item]) => `${formatKey([key])} = ${formatValue(item)}`,
  );
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

/** A dotted key. */
export function formatKey(path: readonly string[]): string {
  return path.map((part) => (/^[\w-]+$/.test(part) ? part : formatString(part))).join('.');
}

function formatString(value: string): string {
  // JSON's escapes are all TOML's too; DEL is the one sign that JSON lets through.
  return JSON.stringify(value).replaceAll('\u007F', '\\u007f');
}

function formatNumber(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`Not a number for a configuration: ${value}`);
  if (Object.is(value, -0)) return '-0.0';
  // Beyond this an integer would no longer be read back exactly everywhere.
  return Number.isInteger(value) && !Number.isSafeInteger(value)
    ? value.toExponential()
    : String(value);
}

function isList(value: TomlValue): value is readonly TomlValue[] {
  return Array.isArray(value);
}
