/** Addresses as they come over the wire → as the router knows them. */
import type { MethodInput } from '@exoclaw/protocol';
import type { Address } from '../../store/store.ts';

/** The address of a message; what was not given is left out. */
export function toAddress(params: MethodInput<'route.explain'>): Address {
  const { channel, account, peer, guild, team, roles } = params;
  return {
    channel,
    account,
    peer,
    ...(guild === undefined ? {} : { guild }),
    ...(team === undefined ? {} : { team }),
    ...(roles === undefined ? {} : { roles }),
  };
}
