/**
 * Which provider is asked, where, and with what patience: the part of an agent's configuration
 * that this folder needs, checked once when a provider is made.
 */
import { ExoclawError } from '../lib/error.ts';
import type { Secret } from '../lib/secret.ts';
import type { ProviderName } from './provider.ts';

export interface Timeouts {
  /** Until TCP (and TLS) stands, name resolution included. */
  readonly connectMs: number;
  /** From sending the request to the first content of the answer. */
  readonly firstTokenMs: number;
  /** Between two signs of life after that; a ping counts as one. */
  readonly silenceMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connectMs: 10_000,
  firstTokenMs: 60_000,
  silenceMs: 60_000,
};

export interface ProviderConfig {
  readonly provider: ProviderName;
  readonly model: string;
  /** A proxy, a gateway or a local server in place of the provider's own address. */
  readonly baseUrl?: string;
  readonly apiKey: Secret | undefined;
  readonly timeouts?: Partial<Timeouts>;
}

/** Providers that are reached over HTTP, which is all but the scripted one. */
export type HttpProviderName = Exclude<ProviderName, 'demo'>;

/** The address when none is configured, and whether the provider refuses calls without a key. */
const ENDPOINTS: Record<HttpProviderName, { url: string; path: string; needsKey: boolean }> = {
  anthropic: { url: 'https://api.anthropic.com', path: '/v1', needsKey: true },
  openai: { url: 'https://api.openai.com', path: '/v1', needsKey: true },
  google: { url: 'https://generativelanguage.googleapis.com', path: '/v1beta', needsKey: true },
  ollama: { url: 'http://127.0.0.1:11434', path: '/v1', needsKey: false },
  'openai-compatible': { url: '', path: '/v1', needsKey: false },
};

export function needsApiKey(provider: HttpProviderName): boolean {
  return ENDPOINTS[provider].needsKey;
}

/**
 * The base URL to call, without a trailing slash. One that names only a host gets the provider's
 * usual path (`http://127.0.0.1:8080` → `http://127.0.0.1:8080/v1`); any other path is kept.
 * @throws {ExoclawError} config_error when it is missing, not HTTP, or carries credentials, a query
 *   or a fragment: those would end up in logs, and a query would be lost behind the path we add.
 */
export function resolveBaseUrl(provider: HttpProviderName, baseUrl: string | undefined): string {
  const endpoint = ENDPOINTS[provider];
  const text = baseUrl ?? endpoint.url;
  if (text === '') {
    throw new ExoclawError(
      'config_error',
      `Cannot use provider "${provider}": set base_url to the address of the server`,
    );
  }
  const url = URL.parse(text);
  const plain = url !== null && `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (!plain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ExoclawError(
      'config_error',
      `Cannot use the base_url of provider "${provider}": it must be http(s)://host[:port][/path] without credentials or query`,
    );
  }
  const path = url.pathname.replace(/\/+$/, '');
  return url.origin + (path === '' ? endpoint.path : path);
}
