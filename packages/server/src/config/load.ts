/**
 * Reads the configuration: flags over environment over file over defaults, checked as one, resolved
 * once, frozen. Every problem is found in one go and says where it is; nothing is half applied.
 */
import { readFileSync } from 'node:fs';
import { isSystemError, toMessage } from '../lib/error.ts';
import { detectProvider, readToken } from './credentials.ts';
import { ConfigError, type Diagnostic } from './diagnostic.ts';
import { parseDocument } from './document.ts';
import { type Env, type Layout, readLayout, readVariable } from './env.ts';
import { explainIssue } from './problems.ts';
import { checkReferences } from './references.ts';
import { type Config, resolveConfig } from './resolve.ts';
import { type ConfigFile, configSchema, defaultAgent } from './schema.ts';
import { Source } from './source.ts';
import { checkUnknownKeys } from './unknown.ts';

const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** What the command line may say over the file. */
export interface ConfigFlags {
  readonly port?: string | number | undefined;
  readonly bind?: string | undefined;
  readonly token?: string | undefined;
  /** Every agent answers with the offline demo model. */
  readonly demo?: boolean | undefined;
}

export interface LoadOptions {
  /** Default: `EXOCLAW_CONFIG`, else `config.toml` in the home. */
  readonly path?: string | undefined;
  readonly env: Env;
  readonly flags?: ConfigFlags;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path of the file, whether or not it exists. */
  readonly path: string;
  readonly exists: boolean;
  readonly warnings: readonly Diagnostic[];
}

/**
 * @throws {ConfigError} with all problems. A file that a person named has to exist; the one in the
 * home does not.
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const layout = readLayout(options.env);
  const path = options.path ?? layout.config;
  const text = readConfigText(path);
  if (text === undefined && (options.path !== undefined || layout.configNamed)) {
    throw unreadable(path, 'does not exist (EXOCLAW_CONFIG or the command names it)');
  }
  return { ...parseConfig(text ?? '', { ...options, path }), exists: text !== undefined };
}

/**
 * The same for a text that is not in its place yet.
 * @throws {ConfigError} with all problems.
 */
export function parseConfig(
  text: string,
  options: LoadOptions & { readonly path: string },
): Omit<LoadedConfig, 'exists'> {
  const { path, env, flags = {} } = options;
  const layout: Layout = readLayout(env);
  const source = new Source(parseDocument(text, path), path);
  const overrides = [
    { origin: 'EXOCLAW_PORT', path: ['gateway', 'port'], value: readVariable(env, 'EXOCLAW_PORT') },
    { origin: 'EXOCLAW_BIND', path: ['gateway', 'bind'], value: readVariable(env, 'EXOCLAW_BIND') },
    { origin: 'EXOCLAW_LOG', path: ['log', 'level'], value: readVariable(env, 'EXOCLAW_LOG') },
    { origin: '--port', path: ['gateway', 'port'], value: flags.port },
    { origin: '--bind', path: ['gateway', 'bind'], value: flags.bind },
  ];
  for (const { origin, path, value } of overrides) {
    if (value !== undefined) source.override(path, value, origin);
  }
  const { file, warnings } = check(source);
  const config = resolveConfig({
    file,
    path,
    env,
    layout,
    token: readToken(env, flags.token),
    demo: flags.demo === true,
    detect: () => {
      const found = detectProvider({ env });
      for (const message of found.warnings) {
        warnings.push({ ...source.at([]), path: '', message });
      }
      return found.provider;
    },
  });
  return { config, path, warnings };
}

function check(source: Source): { readonly file: ConfigFile; readonly warnings: Diagnostic[] } {
  const { errors, warnings } = checkUnknownKeys(source);
  const parsed = configSchema.safeParse(source.value);
  const problems = [
    ...errors,
    ...(parsed.error?.issues ?? []).map((issue) =>
      source.diagnose(issue.path, explainIssue(issue, source.read(issue.path))),
    ),
    ...checkReferences(source.value).map(({ path, message }) => source.diagnose(path, message)),
  ];
  if (parsed.success && problems.length === 0)
    return { file: withDefaultAgent(parsed.data), warnings };
  throw new ConfigError(problems.toSorted(byPlace), { cause: parsed.error, warnings });
}

/** With no agent configured at all there is one, and it answers with whatever can be reached. */
function withDefaultAgent(file: ConfigFile): ConfigFile {
  if (file.agent !== undefined || file.agents.length > 0) return file;
  return { ...file, agent: defaultAgent() };
}

function byPlace(left: Diagnostic, right: Diagnostic): number {
  return (left.line ?? 0) - (right.line ?? 0) || (left.column ?? 0) - (right.column ?? 0);
}

/**
 * The text of a configuration file; undefined when there is none.
 * @throws {ConfigError} when it can't be read.
 */
export function readConfigText(path: string): string | undefined {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > MAX_FILE_BYTES) throw new RangeError(`larger than ${MAX_FILE_BYTES} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw unreadable(path, `can not be read: ${explainReadError(error)}`, error);
  }
}

function unreadable(path: string, message: string, cause?: unknown): ConfigError {
  const place = { file: path, line: undefined, column: undefined, path: '' };
  return new ConfigError([{ ...place, message }], { cause });
}

function explainReadError(error: unknown): string {
  if (isSystemError(error, 'EACCES')) return 'permission denied';
  if (isSystemError(error, 'EISDIR')) return 'it is a folder';
  if (error instanceof TypeError) return 'it is not UTF-8 text';
  return toMessage(error);
}
