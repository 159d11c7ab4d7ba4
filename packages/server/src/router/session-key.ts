/**
 * The session key `{agent}:{channel}:{account}:{peer}`. Each part is escaped, so that no two
 * addresses share a key: `[A-Za-z0-9_-]` stay, every other byte of the UTF-8 form is `=hh`.
 * Surrogates without their partner, which UTF-8 has no form for, are kept apart as the three
 * bytes they would have, instead of all becoming U+FFFD.
 */

import { createHash } from 'node:crypto';

export interface SessionKeyParts {
  readonly agent: string;
  readonly channel: string;
  readonly account: string;
  readonly peer: string;
}

const PLAIN = /^[A-Za-z0-9_-]*$/;
const ESCAPED = /^(?:[A-Za-z0-9_-]|=[0-9a-f]{2})*$/;

/** The key of a session; different parts always give different keys. */
export function formatSessionKey({ agent, channel, account, peer }: SessionKeyParts): string {
  return `${escapePart(agent)}:${escapePart(channel)}:${escapePart(account)}:${escapePart(peer)}`;
}

/** The parts of a key, or undefined when `formatSessionKey` would never have written it. */
export function parseSessionKey(key: string): SessionKeyParts | undefined {
  const escaped = key.split(':');
  if (escaped.length !== 4 || !escaped.every((part) => ESCAPED.test(part))) return undefined;
  const [agent = '', channel = '', account = '', peer = ''] = escaped.map(unescapePart);
  const parts = { agent, channel, account, peer };
  return formatSessionKey(parts) === key ? parts : undefined;
}

function escapePart(part: string): string {
  if (PLAIN.test(part)) return part;
  let escaped = '';
  for (const character of part) {
    if (PLAIN.test(character)) {
      escaped += character;
      continue;
    }
    for (const byte of encodeCharacter(character)) {
      escaped += `=${byte.toString(16).padStart(2, '0')}`;
    }
  }
  return escaped;
}

function encodeCharacter(character: string): Iterable<number> {
  if (character.isWellFormed()) return Buffer.from(character, 'utf8');
  const unit = character.charCodeAt(0);
  return [0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)];
}

// The bytes of a lone surrogate, ED A0-BF xx, are never valid UTF-8, so this is unambiguous.
function unescapePart(escaped: string): string {
  return escaped.replace(/(?:=[0-9a-f]{2})+/g, (run) => {
    const bytes = Buffer.from(run.replaceAll('=', ''), 'hex');
    let text = '';
    let start = 0;
    for (let at = 0; at + 2 < bytes.length; at += 1) {
      const unit = readSurrogate(bytes, at);
      if (unit === undefined) continue;
      text += bytes.toString('utf8', start, at) + String.fromCharCode(unit);
      start = at + 3;
      at += 2;
    }
    return text + bytes.toString('utf8', start);
  });
}

function readSurrogate(bytes: Buffer, at: number): number | undefined {
  const [first, second = 0, third = 0] = bytes.subarray(at, at + 3);
  if (first !== 0xed || second < 0xa0) return undefined;
  return 0xd000 | ((second & 0x3f) << 6) | (third & 0x3f);
}

/** The first 20 hex digits of the key's SHA-256: bounded in length, and it names nobody. */
export function hashSessionKey(sessionKey: string): string {
  return createHash('sha256').update(sessionKey).digest('hex').slice(0, 20);
}
