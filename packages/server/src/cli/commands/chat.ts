/** `exoclaw chat`: talk to an agent, over the running gateway or one of its own. */
import { createInterface } from 'node:readline/promises';
import { connect, type Client } from '@exoclaw/client';
import type { StreamEvent } from '@exoclaw/protocol';
import { defineCommand } from 'citty';
import { processEnv } from '../../config/env.ts';
import { openDaemon } from '../../daemon.ts';
import { ExoclawError } from '../../lib/error.ts';
import { createLog } from '../../lib/log.ts';
import { connectGateway, GATEWAY_ARGS } from '../connect.ts';
import { escapeControl, paint } from '../format.ts';
import { EXIT, note, output } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

interface Conversation {
  readonly client: Client;
  readonly agent: string | undefined;
  readonly peer: string;
  readonly json: boolean;
}

export default defineCommand({
  meta: { description: 'Talk to an agent from the terminal' },
  args: {
    ...COMMON_ARGS,
    ...GATEWAY_ARGS,
    agent: { type: 'string', description: 'Agent to talk to; default: as the bindings say' },
    session: { type: 'string', description: 'Name of the conversation', default: 'main' },
    message: { type: 'positional', required: false, description: 'Say this and leave' },
  },
  async run({ args }) {
    await using stack = new AsyncDisposableStack();
    const client = await openClient(args.url, stack);
    const { agent, session: peer, json } = args;
    const conversation = { client, agent, peer, json };
    const message = args._.join(' ');
    if (message !== '') return await say(conversation, message);
    if (!process.stdin.isTTY) return await say(conversation, await readAll());
    return await converse(conversation);
  },
});

/** The running gateway; where there is none, one of our own for as long as the chat lasts. */
async function openClient(url: string | undefined, stack: AsyncDisposableStack): Promise<Client> {
  try {
    return stack.use(await connectGateway(url));
  } catch (error) {
    if (url !== undefined || !(error instanceof ExoclawError) || error.code !== 'not_found') {
      throw error;
    }
  }
  const env = processEnv();
  const daemon = stack.use(
    await openDaemon({ env, flags: { port: 0 }, log: createLog('error', { pretty: true }) }),
  );
  if (daemon.demo) note('No API key yet: an offline demo model answers. Add one: exoclaw onboard');
  const { token } = daemon.loaded.config.gateway;
  return stack.use(
    await connect({
      url: daemon.url,
      ...(token === undefined ? {} : { token: token.reveal() }),
    }),
  );
}

async function converse(conversation: Conversation): Promise<number> {
  note('Enter sends, Ctrl-C stops an answer, Ctrl-D leaves');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const prompt = paint('bold', '> ', process.stdout);
  let running: AbortController | undefined;
  terminal.on('SIGINT', () => {
    if (running === undefined) terminal.close();
    else running.abort();
  });
  try {
    terminal.setPrompt(prompt);
    terminal.prompt();
    for await (const line of terminal) {
      if (line.trim() !== '') {
        running = new AbortController();
        await say(conversation, line, running.signal);
        running = undefined;
      }
      terminal.prompt();
    }
  } finally {
    terminal.close();
  }
  note('');
  return EXIT.ok;
}

/** Sends one message and shows the answer as it comes. @returns the exit code. */
async function say(
  { client, agent, peer, json }: Conversation,
  content: string,
  signal?: AbortSignal,
): Promise<number> {
  const params = { channel: 'cli', account: 'local', peer, content };
  const events: StreamEvent[] = [];
  let failed = false;
  const stream = client.chat(
    { ...params, ...(agent === undefined ? {} : { agent }) },
    signal === undefined ? {} : { signal },
  );
  try {
    for await (const event of stream) {
      if (event.event === 'error') failed = true;
      if (json) events.push(event);
      else show(event);
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    note(paint('dim', '\n[stopped]', process.stderr));
  }
  if (json) output(true, { text: textOf(events), events }, () => '');
  else process.stdout.write('\n');
  return failed ? EXIT.failure : EXIT.ok;
}

function show(event: StreamEvent): void {
  const dim = (text: string) => note(paint('dim', escapeControl(text), process.stderr));
  if (event.event === 'text') process.stdout.write(escapeControl(event.data));
  else if (event.event === 'tool_use') {
    dim(`\n[${event.data.name} ${JSON.stringify(event.data.input)}]`);
  } else if (event.event === 'tool_result') {
    const { is_error: isError, content, duration_ms: ms, denied } = event.data;
    dim(`[${isError ? 'failed' : 'ok'} in ${ms} ms: ${content.slice(0, 200)}]`);
    if (denied !== undefined) dim(`[to allow it, grant "${denied.grant}" in config.toml]`);
  } else if (event.event === 'usage') {
    const { input_tokens: input, output_tokens: out, cost_usd: cost } = event.data;
    dim(`\n[${input} in, ${out} out, $${cost.toFixed(4)}]`);
  } else if (event.event === 'restart') dim('\n[started again]');
  else if (event.event === 'error') {
    note(`${paint('red', 'error:', process.stderr)} ${escapeControl(event.data)}`);
  }
}

function textOf(events: readonly StreamEvent[]): string {
  return events.map((event) => (event.event === 'text' ? event.data : '')).join('');
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8').trim();
}
