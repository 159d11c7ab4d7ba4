/**
 * What a stream tells its client while a run goes on. Exactly one `done` ends every stream, after
 * an `error` too. `seq` counts the events of one run from 1 and is what `chat.resume` takes.
 */
import * as z from 'zod';
import type { ErrorCode } from './errors.ts';
import type { RpcRequest } from './rpc.ts';

const acceptedEvent = z.object({
  session: z.string(),
  message_id: z.string(),
  run: z.string(),
});

const toolUseEvent = z.object({ id: z.string(), name: z.string(), input: z.unknown() });

const toolResultEvent = z.object({
  tool_use_id: z.string(),
  content: z.string(),
  is_error: z.boolean(),
  duration_ms: z.number(),
  walls: z.array(z.string()).optional(),
  denied: z.object({ grant: z.string() }).optional(),
});

const usageEvent = z.object({
  input_tokens: z.number().int(),
  output_tokens: z.number().int(),
  cached_tokens: z.number().int().optional(),
  cost_usd: z.number(),
  duration_ms: z.number().optional(),
  estimated: z.boolean().optional(),
  context: z
    .object({
      soul: z.number().int(),
      facts: z.number().int(),
      recall: z.number().int(),
      window: z.number().int(),
      tools: z.number().int(),
    })
    .optional(),
});

const messageEvent = z.object({
  role: z.literal('user'),
  content: z.string(),
  run: z.string().optional(),
});

const endEvent = z.object({
  run: z.string(),
  stop_reason: z.string(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

/** Event name → schema of its data. */
export const EVENTS = {
  /** The message is safe: it will be answered even if the gateway is killed now. Sent on `ack`. */
  accepted: acceptedEvent,
  /** To watchers only: what the person wrote that the following events answer. */
  message: messageEvent,
  text: z.string(),
  tool_use: toolUseEvent,
  tool_result: toolResultEvent,
  usage: usageEvent,
  /** Text sent so far belongs to an attempt that was cut: drop it. */
  restart: z.object({ attempt: z.number().int() }),
  /** To watchers only: a run is over, the watch goes on. */
  end: endEvent,
  error: z.string(),
  done: z.null(),
} as const satisfies Record<string, z.ZodType>;

export type EventName = keyof typeof EVENTS;
export type EventData<Name extends EventName> = z.infer<(typeof EVENTS)[Name]>;

/** One event of a stream, dialect-free. */
export type StreamEvent =
  | {
      [Name in Exclude<EventName, 'error' | 'done'>]: {
        readonly event: Name;
        readonly data: EventData<Name>;
        readonly seq?: number;
      };
    }[Exclude<EventName, 'error' | 'done'>]
  | {
      readonly event: 'error';
      readonly data: string;
      readonly code: ErrorCode;
      readonly seq?: number;
    }
  | { readonly event: 'done'; readonly seq?: number };

/** A stream event as a frame in the dialect of the request that opened the stream. */
export function toEventFrame(
  request: Pick<RpcRequest, 'dialect' | 'id'>,
  event: StreamEvent,
): Record<string, unknown> {
  return request.dialect === 'plain'
    ? { id: request.id, ...event }
    : { jsonrpc: '2.0', method: 'chat.event', params: { id: request.id, ...event } };
}
