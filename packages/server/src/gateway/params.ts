/** Checks the parameters of a method against the method table and says what is allowed instead. */
import { METHODS, type MethodInput, type MethodName } from '@exoclaw/protocol';
import * as z from 'zod';
import { ExoclawError } from '../lib/error.ts';

const MAX_ISSUES = 5;
const MAX_PROBLEM_LENGTH = 300;

/**
 * The parameters with their defaults filled in.
 * @throws {ExoclawError} invalid_params with the path of each problem and what is allowed there.
 */
export function parseParams<Name extends MethodName>(name: Name, raw: unknown): MethodInput<Name> {
  const schema: z.ZodType = METHODS[name].params;
  // JSON-RPC allows positions; an empty list is how some clients write "none".
  const value = Array.isArray(raw) && raw.length === 0 ? {} : raw;
  const parsed = schema.safeParse(value);
  // The schema was looked up by the same name.
  if (parsed.success) return parsed.data as MethodInput<Name>;
  const allowed = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const problems = parsed.error.issues
    .slice(0, MAX_ISSUES)
    .map((issue) => ({ path: issue.path.join('.'), problem: toProblem(issue, name, allowed) }));
  const text = problems
    .map(({ path, problem }) => (path === '' ? problem : `"${path}": ${problem}`))
    .join('; ');
  throw new ExoclawError('invalid_params', `invalid params: ${text}`, { data: problems });
}

function toProblem(issue: z.core.$ZodIssue, name: string, allowed: readonly string[]): string {
  const list = allowed.length === 0 ? 'no parameters' : allowed.join(', ');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => `"${key}"`).join(', ');
    return `${keys.slice(0, MAX_PROBLEM_LENGTH)} is not known; ${name} takes ${list}`;
  }
  if (issue.path.length === 0 && issue.code === 'invalid_type') {
    return `give parameters by name, as an object; ${name} takes ${list}`;
  }
  return issue.message.replace(/^Invalid (?:input|option): /, '').slice(0, MAX_PROBLEM_LENGTH);
}
