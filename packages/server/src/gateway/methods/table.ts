/** The handler of every method, gathered from one file per noun. */
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';
import { createBudgetHandlers } from './budget.ts';
import { createChatHandlers } from './chat.ts';
import { createPluginHandlers } from './plugin.ts';
import { createRouteHandlers } from './route.ts';
import { createSessionHandlers } from './session.ts';
import { createStatusHandlers } from './status.ts';
import { createUsageHandlers } from './usage.ts';

/** A method of the protocol without a handler here is a type error. */
export function createHandlers(context: GatewayContext): Handlers {
  return {
    ...createBudgetHandlers(context),
    ...createChatHandlers(context),
    ...createPluginHandlers(context),
    ...createRouteHandlers(context),
    ...createSessionHandlers(context),
    ...createStatusHandlers(context),
    ...createUsageHandlers(context),
  };
}
