/**
 * A channel plugin at work: it translates a platform's payload into messages and an answer back
 * into the platform's shape. It holds no connection and no secret, and the channel name is the
 * host's: a payload can't claim another one.
 */
import * as z from 'zod';
import { ExoclawError } from '../lib/error.ts';
import type { CallResult, SandboxPlugin } from '../sandbox/plugin.ts';
import type { ChannelAdapter, IncomingMessage, ParsedPayload, WebhookVerify } from './plugins.ts';

const MAX_MESSAGES = 100;

const part = z.string().min(1).max(256);
/** Platforms write `null` for what is not there. */
function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema.nullish().transform((value) => value ?? undefined);
}

const incoming = z.object({
  content: z.string().min(1),
  account: part,
  peer: optional(part),
  guild: optional(part),
  team: optional(part),
  message_id: optional(z.string().min(1).max(128)),
});
const respond = z.object({
  respond: z.object({
    status: z.int().min(200).max(599).default(200),
    headers: z.record(z.string(), z.string()).default({}),
    body: z
      .string()
      .max(64 * 1024)
      .default(''),
  }),
});
const payload = z.union([
  respond,
  incoming.transform((message) => [message]),
  z.array(incoming).max(MAX_MESSAGES),
]);

export interface ChannelBinding {
  readonly plugin: SandboxPlugin;
  readonly channel: string;
  readonly verify: WebhookVerify;
  readonly allowUnverified: boolean;
}

export function createChannelAdapter(binding: ChannelBinding): ChannelAdapter {
  const { plugin, channel, verify, allowUnverified } = binding;

  async function callJson(exportName: string, input: string, signal: AbortSignal) {
    const result = await plugin.call(exportName, input, { signal, session: `channel:${channel}` });
    return readJson(plugin.name, exportName, result);
  }

  return {
    pluginName: plugin.name,
    channel,
    verify,
    allowUnverified,
    async parseIncoming(body, { signal }): Promise<ParsedPayload> {
      const parsed = payload.safeParse(await callJson('parse_incoming', body, signal));
      if (!parsed.success) {
        throw new ExoclawError(
          'plugin_error',
          `Plugin "${plugin.name}" did not answer "parse_incoming" with messages`,
          { cause: parsed.error },
        );
      }
      if (!Array.isArray(parsed.data)) return { kind: 'respond', ...parsed.data.respond };
      return { kind: 'messages', messages: parsed.data.map(toIncomingMessage) };
    },
    formatOutgoing(answer, { signal }) {
      const input = JSON.stringify({ ...toWire(answer.to), content: answer.content });
      return callJson('format_outgoing', input, signal);
    },
  };
}

function toIncomingMessage(parsed: z.infer<typeof incoming>): IncomingMessage {
  const { content, account, peer, guild, team, message_id: messageId } = parsed;
  return {
    content,
    account,
    peer: peer ?? 'main',
    ...(guild === undefined ? {} : { guild }),
    ...(team === undefined ? {} : { team }),
    ...(messageId === undefined ? {} : { messageId }),
  };
}

function toWire(message: IncomingMessage): Record<string, string | undefined> {
  const { account, peer, guild, team, messageId } = message;
  return { account, peer, guild, team, message_id: messageId };
}

function readJson(plugin: string, exportName: string, result: CallResult): unknown {
  if (!result.ok) {
    const { code, message } = result.error;
    throw new ExoclawError(
      'plugin_error',
      `Plugin "${plugin}" failed in "${exportName}": ${code}: ${message}`,
    );
  }
  try {
    return JSON.parse(new TextDecoder().decode(result.output));
  } catch (error) {
    throw new ExoclawError(
      'plugin_error',
      `Plugin "${plugin}" did not answer "${exportName}" with JSON`,
      { cause: error },
    );
  }
}
