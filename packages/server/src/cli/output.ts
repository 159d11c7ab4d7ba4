/**
 * What a command says: its result on stdout, as text or as one JSON document, and everything else
 * on stderr, so that a script can take stdout as it is.
 */
import { isDebug, processEnv } from '../config/env.ts';
import { ExoclawError, toMessage } from '../lib/error.ts';
import { escapeControl, paint } from './format.ts';

/** Exit codes of every command. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command was called wrongly: exit code 2 and a hint at `--help`. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Prints the result of a command: `value` with `--json`, else the text. */
export function output(json: boolean, value: unknown, text: () => string): void {
  const shown = json ? JSON.stringify(value, undefined, 2) : text();
  process.stdout.write(shown.endsWith('\n') || shown === '' ? shown : `${shown}\n`);
}

/** A line beside the result, such as what to do next. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function warn(text: string): void {
  note(`${paint('yellow', 'warning:', process.stderr)} ${escapeControl(text)}`);
}

/** Prints an error as a person needs it, without its stack. @returns the exit code. */
export function fail(error: unknown, json: boolean): ExitCode {
  const usage = error instanceof UsageError;
  const message = toMessage(error);
  if (json) {
    const code = usage ? 'usage' : error instanceof ExoclawError ? error.code : 'internal';
    output(true, { error: { code, message, ...readDiagnostics(error) } }, () => '');
  } else {
    note(`${paint('red', 'error:', process.stderr)} ${escapeControl(message)}`);
  }
  if (isDebug(processEnv()) && error instanceof Error) note(describeStack(error));
  return usage ? EXIT.usage : EXIT.failure;
}

/** Problems of a configuration; read by shape, so that no command has to load its modules. */
function readDiagnostics(error: unknown): object {
  return error instanceof Error && 'diagnostics' in error ? { problems: error.diagnostics } : {};
}

function describeStack(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error
    ? `${stack}\nCaused by: ${describeStack(error.cause)}`
    : stack;
}
