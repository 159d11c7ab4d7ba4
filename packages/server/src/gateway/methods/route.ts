/** `route.explain`: which binding takes an address, and why the others do not. */
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';
import { toAddress } from './address.ts';

export function createRouteHandlers({ options }: GatewayContext): Pick<Handlers, 'route.explain'> {
  return {
    'route.explain': (params) => {
      const { route, considered } = options.router().explain(toAddress(params));
      return {
        ...(route === undefined
          ? {}
          : { agent: route.agentId, session: route.sessionKey, tier: route.tier }),
        ...(route?.binding === undefined ? {} : { binding: { ...route.binding } }),
        considered: considered.map((tier) => ({ ...tier })),
      };
    },
  };
}
