/** A problem of the configuration, with the place a person has to look at. */
import { ExoclawError } from '../lib/error.ts';

export interface Diagnostic {
  /** Path of the file, or the variable or flag the value came from. */
  readonly file: string;
  /** Counted from 1; undefined where the value did not come from a file. */
  readonly line: number | undefined;
  /** Counted from 1, in UTF-16 units. */
  readonly column: number | undefined;
  /** As a person would write it: `agents[1].provider`. Empty for the file as a whole. */
  readonly path: string;
  /** What is wrong and what is allowed; never the value of something that may be a secret. */
  readonly message: string;
}

/** `file:line:col: path: problem`, each part only where it is known. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, path, message } = diagnostic;
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  return [place, path, message].filter((part) => part !== '').join(': ');
}

export interface ConfigErrorOptions extends ErrorOptions {
  readonly warnings?: readonly Diagnostic[];
}

/**
 * The configuration can't be used; holds every problem that was found, in file order. Its message
 * is for the operator's terminal or log: a line that counts, then one for each problem.
 */
export class ConfigError extends ExoclawError {
  readonly diagnostics: readonly Diagnostic[];
  /** What is only worth a look, such as a key that is not known. */
  readonly warnings: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[], options: ConfigErrorOptions = {}) {
    const count = diagnostics.length === 1 ? '1 problem' : `${diagnostics.length} problems`;
    const lines = diagnostics.map(formatDiagnostic).join('\n');
    super('config_error', `The configuration has ${count}\n${lines}`, { cause: options.cause });
    this.diagnostics = diagnostics;
    this.warnings = options.warnings ?? [];
  }
}

/** `["agents", 1, "provider"]` → `agents[1].provider`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else {
      const name = String(part);
      const shown = /^[\w-]+$/.test(name) ? name : JSON.stringify(name);
      text += text === '' ? shown : `.${shown}`;
    }
  }
  return text;
}
