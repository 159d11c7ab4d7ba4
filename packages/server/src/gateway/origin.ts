/**
 * Which pages and which names may reach the gateway. The Origin check stops a page of another site
 * from opening a socket or posting a webhook with the user's reach (cross-site WebSocket
 * hijacking); the Host check stops a name that an attacker has pointed at 127.0.0.1 (DNS
 * rebinding). Neither stops a program on the same machine, which can send any header: that is what
 * the token is for.
 */
import type { IncomingHttpHeaders } from 'node:http';

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/;

export interface OriginPolicy {
  readonly bind: string;
  /** The port that is really listened on. */
  readonly port: number;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
}

/** Whether only this machine can reach an address. */
export function isLoopback(address: string): boolean {
  const name = address.toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name);
}

/**
 * Checks the Host and Origin headers of a request.
 * @returns why it is refused, for the person who meets it; undefined when it is not.
 */
export function checkOrigin(
  headers: IncomingHttpHeaders,
  policy: OriginPolicy,
): string | undefined {
  const host = headers.host?.toLowerCase() ?? '';
  if (isLoopback(policy.bind) && !isAllowedHost(host, policy.allowedHosts)) {
    return 'This Host is not served here; list it in gateway.allowed_hosts to allow it';
  }
  if (headers.origin !== undefined && !isAllowedOrigin(headers.origin, host, policy)) {
    return 'This Origin may not connect; list it in gateway.allowed_origins to allow it';
  }
  return undefined;
}

function isAllowedHost(host: string, allowed: readonly string[]): boolean {
  const name = HOST.exec(host)?.[1];
  if (name === undefined) return false;
  return (
    isLoopbackName(name) || allowed.some((entry) => [host, name].includes(entry.toLowerCase()))
  );
}

// A Host header writes an IPv6 address in brackets.
function isLoopbackName(name: string): boolean {
  return name === '[::1]' || (name !== '::1' && isLoopback(name));
}

function isAllowedOrigin(header: string, host: string, policy: OriginPolicy): boolean {
  const origin = URL.parse(header);
  if (origin === null || (origin.protocol !== 'http:' && origin.protocol !== 'https:'))
    return false;
  if (policy.allowedOrigins.some((entry) => URL.parse(entry)?.origin === origin.origin))
    return true;
  // Parsed with the origin's scheme, so that a default port is left out of both.
  if (origin.host === URL.parse(`${origin.protocol}//${host}`)?.host) return true;
  // `localhost` and `127.0.0.1` are two names of the same page of ours.
  return (
    isLoopback(policy.bind) &&
    isLoopbackName(origin.hostname) &&
    origin.port === String(policy.port)
  );
}
