/**
 * Rate limits as token buckets: a bucket holds one minute's worth, fills steadily, and a request
 * takes one. Nothing runs in between; a bucket is brought up to date when it is asked.
 */
import type { Clock } from '../lib/clock.ts';

export interface Bucket {
  tokens: number;
  atMs: number;
}

/** Takes one token out of a bucket. @returns false when it is empty. */
export function takeToken(bucket: Bucket, perMinute: number, nowMs: number): boolean {
  const gained = (Math.max(nowMs - bucket.atMs, 0) / 60_000) * perMinute;
  bucket.tokens = Math.min(perMinute, bucket.tokens + gained);
  bucket.atMs = nowMs;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

/** A bucket per key, for at most `maxKeys` keys: the least recently used are forgotten first. */
export class KeyedLimiter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #perMinute: number;
  readonly #maxKeys: number;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(perMinute: number, maxKeys: number, clock: Pick<Clock, 'now'>) {
    this.#perMinute = perMinute;
    this.#maxKeys = maxKeys;
    this.#clock = clock;
  }

  get size(): number {
    return this.#buckets.size;
  }

  take(key: string): boolean {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perMinute, atMs: nowMs };
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#maxKeys) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return takeToken(bucket, this.#perMinute, nowMs);
  }
}
