/**
 * The only place that reads the process environment. Everything else is handed an `Env`, so that a
 * test decides what is set. Also knows where exoclaw keeps its files.
 */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export type Env = Readonly<Record<string, string | undefined>>;

export function processEnv(): Env {
  return process.env;
}

/** A variable's value; one that is set to nothing counts as not set. */
export function readVariable(env: Env, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}

/** Where things are; nothing here has to exist. */
export interface Layout {
  /** `~/.exoclaw`, or `EXOCLAW_HOME`. */
  readonly home: string;
  /** `config.toml` in the home, or `EXOCLAW_CONFIG`. */
  readonly config: string;
  /** Whether a person named the configuration file, so that it has to exist. */
  readonly configNamed: boolean;
  readonly credentials: string;
  readonly store: string;
  readonly soul: string;
  readonly plugins: string;
}

export function readLayout(env: Env): Layout {
  const home = resolvePath(readVariable(env, 'EXOCLAW_HOME') ?? '~/.exoclaw', process.cwd(), env);
  const named = readVariable(env, 'EXOCLAW_CONFIG');
  return {
    home,
    config:
      named === undefined ? join(home, 'config.toml') : resolvePath(named, process.cwd(), env),
    configNamed: named !== undefined,
    credentials: join(home, 'credentials'),
    store: join(home, 'exoclaw.db'),
    soul: join(home, 'soul.md'),
    plugins: join(home, 'plugins'),
  };
}

/** An absolute path; `~` is the person's home, anything relative is relative to `folder`. */
export function resolvePath(path: string, folder: string, env: Env): string {
  if (path === '~' || path.startsWith('~/')) {
    return resolve(readVariable(env, 'HOME') ?? homedir(), path.slice(2));
  }
  return resolve(folder, path);
}

/** Whether errors are to be printed with their stack (`EXOCLAW_DEBUG`). */
export function isDebug(env: Env): boolean {
  return !['', '0', 'false'].includes(env['EXOCLAW_DEBUG'] ?? '');
}
