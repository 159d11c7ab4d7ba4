/**
 * A binding says "messages from here go to that agent". It matches when every field it names
 * matches (AND); with `roles` the peer must hold every role named. Its tier is that of the most
 * specific field it names, and the most specific tier that matches wins.
 */
import type { Address } from '../store/store.ts';

export interface Binding {
  readonly agentId: string;
  readonly channel?: string;
  readonly account?: string;
  readonly peer?: string;
  readonly guild?: string;
  readonly team?: string;
  /** Every one must be held by the peer; the order says nothing. */
  readonly roles?: readonly string[];
}

/** The tiers, most specific first. A binding that names no field is a `default`. */
export const TIERS = [
  'peer',
  'guild+roles',
  'guild',
  'team',
  'account',
  'channel',
  'default',
] as const;
export type Tier = (typeof TIERS)[number];

/** The single-valued fields; a bit of a shape each, in this order. */
export const FIELDS = ['peer', 'guild', 'team', 'account', 'channel'] as const;

export function getTier(binding: Binding): Tier {
  if (binding.peer !== undefined) return 'peer';
  if ((binding.roles?.length ?? 0) > 0) return 'guild+roles';
  return FIELDS.find((field) => binding[field] !== undefined) ?? 'default';
}

/** Whether every field the binding names matches; the meaning the index has to reproduce. */
export function matchesBinding(binding: Binding, address: Address): boolean {
  return (
    FIELDS.every((field) => binding[field] === undefined || binding[field] === address[field]) &&
    (binding.roles ?? []).every((role) => address.roles?.includes(role) ?? false)
  );
}
