/** The rate limit of messages per session, for whichever way they come in. */
import { ExoclawError } from '../lib/error.ts';
import type { Address } from '../store/store.ts';
import type { GatewayContext } from './context.ts';

/**
 * Counts a message in; one that no agent takes is left for the dispatcher to refuse.
 * @throws {ExoclawError} rate_limited
 */
export function takeMessage(context: GatewayContext, address: Address): void {
  const { router, limits } = context.options;
  const route = router().resolve(address);
  if (route === undefined || context.messageLimiter.take(route.sessionKey)) return;
  throw new ExoclawError(
    'rate_limited',
    `Too many messages in this session (${limits.messagesPerMinute} a minute); slow down`,
  );
}
