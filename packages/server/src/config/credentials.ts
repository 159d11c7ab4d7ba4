/**
 * API keys: from the environment, else from `credentials/{provider}.key` in the home. The provider
 * is one of a fixed list, so no path can be built from a name. A key is a `Secret` from the moment
 * it is read, and no message of this file holds any part of one.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ExoclawError, isSystemError } from '../lib/error.ts';
import { Secret } from '../lib/secret.ts';
import { type Env, readLayout, readVariable } from './env.ts';
import type { ProviderName } from '../llm/provider.ts';
import { PROVIDERS } from './providers.ts';
import { type StagedFile, stageFile } from './write.ts';

const MAX_KEY_BYTES = 8192;

export interface KeyOptions {
  readonly env: Env;
}

export interface FoundKey {
  readonly secret: Secret | undefined;
  /** The variable's name, or `file`; undefined when there is no key. */
  readonly source: string | undefined;
  /** Why a key file that exists was not used, or should be looked at. */
  readonly warning: string | undefined;
}

/** Where a provider's key is stored; the file does not have to exist. */
export function keyPath(provider: ProviderName, { env }: KeyOptions): string {
  // A caller that was handed a name by someone else has been checked by its type only.
  if (!Object.hasOwn(PROVIDERS, provider)) throw new TypeError('Unknown provider');
  return join(readLayout(env).credentials, `${provider}.key`);
}

/** The key of a provider. Never throws: what can't be read is absent, with a warning. */
export function readKey(provider: ProviderName, options: KeyOptions): FoundKey {
  for (const name of PROVIDERS[provider].keyVariables) {
    const value = readVariable(options.env, name)?.trim() ?? '';
    if (value !== '') return { secret: new Secret(value), source: name, warning: undefined };
  }
  const path = keyPath(provider, options);
  try {
    const { text, mode } = readKeyFile(path);
    const key = text.trim();
    if (key === '') return absent(`${path} is empty; store the key again with exoclaw onboard`);
    const warning =
      (mode & 0o077) === 0 || process.platform === 'win32'
        ? undefined
        : `${path} can be read by others on this machine; run: chmod 600 ${path}`;
    return { secret: new Secret(key), source: 'file', warning };
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return absent(undefined);
    const reason = isSystemError(error) ? (error.code ?? 'error') : 'it is too large for a key';
    return absent(`Cannot read ${path} (${reason}); the key counts as not stored`);
  }
}

/** The first provider whose key is there, in the order of the list, else `demo`. */
export function detectProvider(options: KeyOptions): {
  readonly provider: ProviderName;
  readonly warnings: readonly string[];
} {
  const warnings: string[] = [];
  for (const provider of ['anthropic', 'openai', 'google'] as const) {
    const { secret, warning } = readKey(provider, options);
    if (warning !== undefined) warnings.push(warning);
    if (secret !== undefined) return { provider, warnings };
  }
  return { provider: 'demo', warnings };
}

/**
 * The key a person gave, without the white space around it.
 * @throws {ExoclawError} config_error when it can't be a key; the message does not hold it.
 */
export function parseKey(text: string): Secret {
  const key = text.trim();
  if (key === '') throw new ExoclawError('config_error', 'The key is empty; nothing was stored');
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > MAX_KEY_BYTES) {
    throw new ExoclawError(
      'config_error',
      'The key holds spaces, line breaks or other signs no key has; copy it again on its own',
    );
  }
  return new Secret(key);
}

/** Writes a key aside; `commit` puts it in its place, file 0600 in a folder 0700. */
export function stageKey(provider: ProviderName, key: Secret, options: KeyOptions): StagedFile {
  if (PROVIDERS[provider].key === 'none') {
    throw new ExoclawError('config_error', `Provider "${provider}" takes no key`);
  }
  const checked = parseKey(key.reveal());
  return stageFile(keyPath(provider, options), `${checked.reveal()}\n`, {
    mode: 0o600,
    folderMode: 0o700,
  });
}

/**
 * Stores a key in one step: afterwards the file holds either the old key or the new one.
 * @throws {ExoclawError} config_error when the key is empty or can't be one.
 */
export function writeKey(provider: ProviderName, key: Secret, options: KeyOptions): void {
  stageKey(provider, key, options).commit();
}

/** The gateway's token: the flag, else `EXOCLAW_TOKEN`. */
export function readToken(env: Env, flag: string | undefined): Secret | undefined {
  const token = flag === '' || flag === undefined ? readVariable(env, 'EXOCLAW_TOKEN') : flag;
  return token === undefined ? undefined : new Secret(token);
}

function absent(warning: string | undefined): FoundKey {
  return { secret: undefined, source: undefined, warning };
}

function readKeyFile(path: string): { readonly text: string; readonly mode: number } {
  // One descriptor, so that what is checked is what is read; a pipe put there does not block.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stat = fstatSync(file);
    if (!stat.isFile() || stat.size > MAX_KEY_BYTES) throw new RangeError('Not a key file');
    return { text: readFileSync(file, 'utf8'), mode: stat.mode };
  } finally {
    closeSync(file);
  }
}
