/** `chat.*`: sending, stopping, resuming and reading conversations. */
import type { MethodResult } from '@exoclaw/protocol';
import { ExoclawError } from '../../lib/error.ts';
import type { RunHandle } from '../../router/dispatcher.ts';
import type { StoredMessage } from '../../store/store.ts';
import type { GatewayContext } from '../context.ts';
import { takeMessage } from '../message-rate.ts';
import type { Handlers } from '../rpc.ts';
import { toStreamEvent } from '../run-events.ts';
import type { Stream } from '../stream.ts';
import { toAddress } from './address.ts';

type ChatHandlers = Pick<Handlers, 'chat.send' | 'chat.abort' | 'chat.history' | 'chat.resume'>;
type Turn = MethodResult<'chat.history'>['turns'][number];

export function createChatHandlers(context: GatewayContext): ChatHandlers {
  const { dispatcher, store, limits } = context.options;

  return {
    'chat.send': async (params, stream) => {
      if (!context.isReady) {
        throw new ExoclawError(
          'shutting_down',
          'The gateway takes no messages now; try again soon',
        );
      }
      const address = toAddress(params);
      takeMessage(context, address);
      // An abort may come before the run has an id: then it is stopped as soon as it has one.
      let isAborted = false;
      let runId: string | undefined;
      stream.onAbort(() => {
        isAborted = true;
        return runId === undefined || dispatcher.abort({ runId });
      });
      const run = await dispatcher.send({
        address,
        content: params.content,
        ...(params.agent === undefined ? {} : { agentId: params.agent }),
        ...(params.message_id === undefined ? {} : { messageId: params.message_id }),
      });
      runId = run.runId;
      stream.open();
      if (isAborted) dispatcher.abort({ runId });
      if (params.ack) {
        stream.emit({
          event: 'accepted',
          data: { session: run.sessionKey, message_id: run.messageId, run: run.runId },
        });
      }
      return followRun(run, stream, { after: 0, isReplay: false });
    },

    'chat.abort': ({ id, session }, caller) => {
      if (session !== undefined) return { aborted: dispatcher.abort({ sessionKey: session }) };
      const stream = caller.streams.values().find((open) => open.id === id);
      return { aborted: stream?.abort() ?? false };
    },

    'chat.resume': async ({ session, run: runId, after }, stream) => {
      const run = await dispatcher.find(session, runId);
      if (run === undefined) {
        const what = runId === undefined ? 'No run is going on' : 'There is no such run';
        throw new ExoclawError('not_found', `${what} in this session; read it with chat.history`);
      }
      stream.open();
      return followRun(run, stream, { after, isReplay: true });
    },

    'chat.history': async ({ session, cursor, limit }) => {
      const messages = await store.readMessages(session, {
        limit,
        ...(cursor === undefined ? {} : { beforeSeq: cursor }),
      });
      const turns = takeNewest(messages.map(toTurn), limits.frameBytes);
      const [oldest] = turns;
      return {
        turns,
        ...(oldest === undefined || oldest.seq === 1 ? {} : { cursor: oldest.seq }),
      };
    },
  };
}

/**
 * Forwards what happens in a run until it ends or nobody listens. A replay comes at the client's
 * pace; live events come at the model's, and a client that can't keep up is closed.
 */
async function followRun(
  run: RunHandle,
  stream: Stream,
  { after, isReplay }: { readonly after: number; readonly isReplay: boolean },
): Promise<MethodResult<'chat.send'>> {
  let stopReason = 'detached';
  for await (const { seq, event } of run.events({ after, signal: stream.signal })) {
    if (event.type === 'run-end') stopReason = event.stopReason;
    const wire = toStreamEvent(event, seq);
    if (wire !== undefined) stream.emit(wire);
    await stream.settle(isReplay);
  }
  return { run: run.runId, stop_reason: stopReason };
}

/** The newest turns that fit into a frame, but at least one; the others are another page. */
function takeNewest(turns: readonly Turn[], maxBytes: number): Turn[] {
  let size = 0;
  let from = turns.length;
  while (from > 0) {
    size += JSON.stringify(turns[from - 1]).length;
    if (size > maxBytes && from < turns.length) break;
    from -= 1;
  }
  return turns.slice(from);
}

function toTurn({ seq, runId, atMs, message }: StoredMessage): Turn {
  const turn = { seq, run: runId, at: new Date(atMs).toISOString(), role: message.role };
  switch (message.role) {
    case 'user':
      return { ...turn, content: message.content };
    case 'assistant':
      return {
        ...turn,
        content: message.content.map((block) =>
          block.type === 'tool-call'
            ? { type: 'tool_use', id: block.id, name: block.name, input: block.input }
            : { type: block.type, text: block.text },
        ),
        ...(message.stopped === undefined ? {} : { stopped: message.stopped }),
      };
    default:
      return {
        ...turn,
        content: {
          tool_use_id: message.toolCallId,
          name: message.name,
          content: message.content,
          is_error: message.isError,
        },
      };
  }
}
