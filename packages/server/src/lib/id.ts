/**
 * Prefixed ids that sort by the time they were made: a UUIDv7 (RFC 9562 section 5.7) without
 * dashes behind a word that says what it names.
 */
import { randomUUIDv7 } from 'node:crypto';

export type IdPrefix = 'run' | 'msg' | 'call' | 'conn' | 'err' | 'proc';

export function createId(prefix: IdPrefix): string {
  return `${prefix}_${randomUUIDv7().replaceAll('-', '')}`;
}
