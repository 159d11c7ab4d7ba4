/** `exoclaw status`: what the running gateway says of itself. */
import { defineCommand } from 'citty';
import { connectGateway, GATEWAY_ARGS } from '../connect.ts';
import { escapeControl, formatPairs } from '../format.ts';
import { output } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

export default defineCommand({
  meta: { description: 'What runs, and where' },
  args: { ...COMMON_ARGS, ...GATEWAY_ARGS },
  async run({ args }) {
    await using client = await connectGateway(args.url);
    const status = await client.call('status', {});
    output(args.json, status, () =>
      escapeControl(
        formatPairs([
          ['version', `${status.version} (protocol ${status.protocol})`],
          ['up', `${Math.round(status.uptime_s)} s${status.ready ? '' : ', not ready'}`],
          ['connections', String(status.connections)],
          ['sessions', `${status.sessions}, ${status.running} turns running`],
          ...status.agents.map(
            ({ id, provider, model, tools }) =>
              ['agent', `${id}: ${provider} ${model}${formatList(', tools: ', tools)}`] as const,
          ),
          ...status.plugins.map(
            ({ name, state, error }) =>
              ['plugin', `${name}: ${state}${error === undefined ? '' : `: ${error}`}`] as const,
          ),
          ['store', `${status.store.engine}${status.store.ephemeral ? ', in memory only' : ''}`],
          ['bus', status.bus.kind],
          ['sandbox', status.sandbox.summary.replace(/^sandbox: /u, '')],
        ]),
      ),
    );
  },
});

function formatList(label: string, items: readonly string[]): string {
  return items.length === 0 ? '' : label + items.join(', ');
}
