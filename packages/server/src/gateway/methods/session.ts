/** `session.*`: listing, following, naming and emptying sessions. */
import { ExoclawError } from '../../lib/error.ts';
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';
import { WatchMapper } from '../run-events.ts';

type SessionHandlers = Pick<
  Handlers,
  'session.list' | 'session.watch' | 'session.rename' | 'session.clear'
>;

export function createSessionHandlers({ options }: GatewayContext): SessionHandlers {
  const { dispatcher, store } = options;

  return {
    'session.list': async ({ limit, before, agent }) => {
      const records = await store.listSessions({
        limit,
        ...(before === undefined ? {} : { before: Date.parse(before) }),
        ...(agent === undefined ? {} : { agentId: agent }),
      });
      return {
        sessions: records.map((record) => ({
          session: record.key,
          agent: record.agentId,
          channel: record.address.channel,
          account: record.address.account,
          peer: record.address.peer,
          ...(record.title === undefined ? {} : { title: record.title }),
          messages: record.messageCount,
          created: new Date(record.createdAtMs).toISOString(),
          updated: new Date(record.updatedAtMs).toISOString(),
          running: dispatcher.isRunning(record.key),
        })),
      };
    },

    'session.watch': async ({ session }, stream) => {
      stream.open();
      const mapper = new WatchMapper();
      for await (const { runId, seq, event } of dispatcher.watch(session, stream)) {
        for (const wire of mapper.map(runId, event, seq)) stream.emit(wire);
        // The run that is going on comes from its start, so much may come at once.
        await stream.settle(true);
      }
      return { stop_reason: 'detached' };
    },

    'session.rename': async ({ session, title }) => ({
      renamed: await store.renameSession(session, title),
    }),

    'session.clear': async ({ session }) => {
      if (dispatcher.isRunning(session)) {
        throw new ExoclawError(
          'session_busy',
          'A run is going on in this session; stop it with chat.abort, then clear again',
        );
      }
      return { removed: await store.clearSession(session) };
    },
  };
}
