/** `exoclaw sessions`: list, read, rename and clear conversations. */
import { defineCommand } from 'citty';
import { connectGateway, GATEWAY_ARGS } from '../connect.ts';
import { escapeControl, formatTable } from '../format.ts';
import { output } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

const ARGS = { ...COMMON_ARGS, ...GATEWAY_ARGS };
const SESSION = {
  session: { type: 'positional', required: true, description: 'Session key' },
} as const;

const list = defineCommand({
  meta: { description: 'Conversations, the most recently used first' },
  args: { ...ARGS, limit: { type: 'string', description: 'Rows', default: '50' } },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const { sessions } = await client.call('session.list', { limit: Number(args.limit) });
    output(args.json, { sessions }, () =>
      sessions.length === 0
        ? 'No conversations yet; start one with "exoclaw chat"'
        : escapeControl(
            formatTable(
              ['session', 'messages', 'updated', 'title'],
              sessions.map(({ session, messages, updated, title }) => [
                session,
                messages,
                updated.slice(0, 16).replace('T', ' '),
                title ?? '',
              ]),
            ),
          ),
    );
  },
});

const show = defineCommand({
  meta: { description: 'Messages of a conversation' },
  args: { ...ARGS, ...SESSION, limit: { type: 'string', description: 'Messages', default: '50' } },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const { session } = args;
    const history = await client.call('chat.history', { session, limit: Number(args.limit) });
    output(args.json, history, () =>
      history.turns
        .map(({ role, at, content }) => {
          const text = typeof content === 'string' ? content : JSON.stringify(content);
          return escapeControl(`${at.slice(0, 16).replace('T', ' ')} ${role}: ${text}`);
        })
        .join('\n'),
    );
  },
});

const rename = defineCommand({
  meta: { description: 'Give a conversation a title' },
  args: {
    ...ARGS,
    ...SESSION,
    title: { type: 'positional', required: true, description: 'The title' },
  },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const { session, title } = args;
    const result = await client.call('session.rename', { session, title });
    output(args.json, result, () => (result.renamed ? 'Renamed' : `No session "${session}"`));
  },
});

const clear = defineCommand({
  meta: { description: 'Delete the messages of a conversation; what it cost stays' },
  args: { ...ARGS, ...SESSION },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const result = await client.call('session.clear', { session: args.session });
    output(args.json, result, () => `${result.removed} messages deleted`);
  },
});

export default defineCommand({
  meta: { description: 'List and manage conversations' },
  subCommands: { list, show, rename, clear },
});
