/**
 * Who a connection is. There is one token and it allows everything; without one configured,
 * whoever reaches the (loopback) port may do everything. Guessing is slowed down and then refused,
 * per address; an IPv6 address counts as its /64, which is what one household has.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { SCOPES, type Scope } from '@exoclaw/protocol';
import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';

export interface Principal {
  readonly scopes: ReadonlySet<Scope>;
}

interface Failures {
  readonly count: number;
  readonly lastMs: number;
}

const FREE_FAILURES = 2;
const REFUSED_FROM = 10;
const REFUSED_MS = 60_000;
const AFTER_REFUSAL = 5;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 3_000;
/** Failures older than this are forgotten. */
const MEMORY_MS = 15 * 60_000;
const MAX_ADDRESSES = 10_000;

const EVERYTHING: Principal = { scopes: new Set(SCOPES) };

export class Authenticator {
  readonly #expected: Buffer | undefined;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #failures = new Map<string, Failures>();

  constructor(token: Secret | undefined, clock: Pick<Clock, 'now'>) {
    this.#expected = token === undefined ? undefined : hash(token.reveal());
    this.#clock = clock;
  }

  /** Who a client without a token is; undefined when it has to send one. */
  get anonymous(): Principal | undefined {
    return this.#expected === undefined ? EVERYTHING : undefined;
  }

  /**
   * Compares a token in constant time: both sides are hashed first, so that neither the first
   * different character nor the length shows in the time taken. A wrong one counts as a failure
   * of the address, a right one clears them; during a refusal every token is wrong.
   */
  verify(token: string, address: string): Principal | undefined {
    if (this.#expected === undefined) return EVERYTHING;
    const key = toSource(address);
    if (!this.isRefused(address) && timingSafeEqual(hash(token), this.#expected)) {
      this.#failures.delete(key);
      return EVERYTHING;
    }
    this.#remember(key);
    return undefined;
  }

  /** Checks an `Authorization: Bearer …` header. */
  verifyBearer(header: string | undefined, address: string): Principal | undefined {
    const token = /^Bearer ([^\s]{1,4096})$/i.exec(header ?? '')?.[1];
    return token === undefined ? this.anonymous : this.verify(token, address);
  }

  /** Whether an address has failed so often that it is not listened to for a while. */
  isRefused(address: string): boolean {
    const failures = this.#get(toSource(address));
    return (
      failures !== undefined &&
      failures.count >= REFUSED_FROM &&
      this.#clock.now() - failures.lastMs < REFUSED_MS
    );
  }

  /** How long the answer to the last failure of an address is held back, in milliseconds. */
  getDelayMs(address: string): number {
    const count = this.#get(toSource(address))?.count ?? 0;
    if (count <= FREE_FAILURES) return 0;
    return Math.min(FIRST_DELAY_MS * 2 ** (count - FREE_FAILURES - 1), MAX_DELAY_MS);
  }

  #get(key: string): Failures | undefined {
    const failures = this.#failures.get(key);
    return failures !== undefined && this.#clock.now() - failures.lastMs < MEMORY_MS
      ? failures
      : undefined;
  }

  #remember(key: string): void {
    const nowMs = this.#clock.now();
    const { count = 0, lastMs = 0 } = this.#get(key) ?? {};
    // Who has sat out a refusal has some tries again, or one stale tab would renew it for ever.
    const before = count >= REFUSED_FROM && nowMs - lastMs >= REFUSED_MS ? AFTER_REFUSAL : count;
    this.#failures.delete(key);
    this.#failures.set(key, { count: before + 1, lastMs: nowMs });
    if (this.#failures.size > MAX_ADDRESSES) {
      const [oldest] = this.#failures.keys();
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
  }
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function toSource(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = '', tail = ''] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = address.includes('::') ? 8 - groups.length - tail.split(':').length : 0;
  return [...groups, ...Array<string>(Math.max(missing, 0)).fill('0'), ...tail.split(':')]
    .slice(0, 4)
    .join(':');
}
