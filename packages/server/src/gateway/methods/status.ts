/** `ping` and `status`. */
import { PROTOCOL_VERSION } from '@exoclaw/protocol';
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';
import { toWirePlugin } from './plugin.ts';

export function createStatusHandlers(context: GatewayContext): Pick<Handlers, 'ping' | 'status'> {
  const { version, demo, clock, dispatcher, plugins, store, status } = context.options;

  return {
    ping: () => 'pong',

    status: async () => ({
      version,
      protocol: PROTOCOL_VERSION,
      uptime_s: Math.floor((clock.now() - context.startedAtMs) / 1000),
      ready: context.isReady,
      demo,
      connections: context.connectionCount,
      running: dispatcher.active,
      plugins: plugins.list().map(toWirePlugin),
      store: { ...store.describe() },
      ...(await status()),
    }),
  };
}
