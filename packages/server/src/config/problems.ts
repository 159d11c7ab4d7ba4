/** What zod found wrong, as one sentence that says what is allowed. */
import type { z } from 'zod';
import { closest } from './suggest.ts';

type Issue = z.core.$ZodIssue;

/** Kinds of value under the names a TOML author knows. */
const KINDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'a table',
  record: 'a table',
};

const LONGEST_SHOWN = 60;

export function explainIssue(issue: Issue, input: unknown): string {
  switch (issue.code) {
    case 'invalid_type': {
      const wanted = KINDS[issue.expected] ?? issue.expected;
      return input === undefined
        ? `is missing (must be ${wanted})`
        : `must be ${wanted}, not ${describeValue(input)}`;
    }
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      const found = typeof input === 'string' ? closest(input, allowed) : undefined;
      const hint = found === undefined ? '' : `; did you mean "${found}"?`;
      const list = allowed.map((value) => `"${value}"`).join(', ');
      return input === undefined
        ? `is missing (allowed: ${list})`
        : `is ${describeValue(input)} (allowed: ${list}${hint})`;
    }
    case 'too_small':
      return explainRange(
        issue.origin,
        issue.inclusive === false ? 'more than' : 'at least',
        issue.minimum,
        input,
      );
    case 'too_big':
      return explainRange(
        issue.origin,
        issue.inclusive === false ? 'less than' : 'at most',
        issue.maximum,
        input,
      );
    case 'invalid_format':
      // A URL may carry a password, so it is not repeated.
      return issue.format === 'url'
        ? issue.message
        : `${issue.message}, not ${describeValue(input)}`;
    default:
      return issue.message;
  }
}

function explainRange(
  origin: string,
  bound: string,
  limit: number | bigint,
  input: unknown,
): string {
  if (origin === 'array') return `must have ${bound} ${limit} elements`;
  if (origin !== 'string') return `must be ${bound} ${limit}, not ${describeValue(input)}`;
  return limit === 1 ? 'must not be empty' : `must be ${bound} ${limit} characters long`;
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'object' && value !== null) return 'a table';
  if (typeof value !== 'string') return String(value);
  const shown = value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN)}…` : value;
  return JSON.stringify(shown);
}
