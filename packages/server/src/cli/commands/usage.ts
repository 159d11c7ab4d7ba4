/** `exoclaw usage`: tokens and money, from the ledger, and what the budgets have left. */
import { defineCommand } from 'citty';
import { connectGateway, GATEWAY_ARGS } from '../connect.ts';
import { escapeControl, formatTable } from '../format.ts';
import { output, UsageError } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

const GROUPS = ['day', 'model', 'agent', 'session'] as const;

export default defineCommand({
  meta: { description: 'Tokens and money spent' },
  args: {
    ...COMMON_ARGS,
    ...GATEWAY_ARGS,
    by: { type: 'string', description: `Group by ${GROUPS.join(', ')}`, default: 'day' },
  },
  async run({ args }) {
    const by = GROUPS.find((group) => group === args.by);
    if (by === undefined) throw new UsageError(`--by takes one of ${GROUPS.join(', ')}`);
    await using client = await connectGateway(args.url);
    const usage = await client.call('usage.query', { by });
    const { budgets } = await client.call('budget.status', {});
    output(args.json, { ...usage, budgets }, () => {
      const rows = [...usage.groups, { ...usage.total, key: 'total' }].map((row) => [
        row.key,
        row.calls,
        row.input_tokens,
        row.cached_tokens,
        row.output_tokens,
        `${row.estimated ? 'about ' : ''}$${row.cost_usd.toFixed(4)}`,
      ]);
      const lines = [formatTable([by, 'calls', 'input', 'cached', 'output', 'cost'], rows)];
      for (const { scope, id, period, unit, used, held, limit } of budgets) {
        const amount = (value: number) => (unit === 'usd' ? `$${value.toFixed(2)}` : String(value));
        const name = [scope === 'all' ? '' : scope, id ?? '', period].filter(Boolean).join(' ');
        lines.push(`budget ${name}: ${amount(used + held)} of ${amount(limit)}`);
      }
      return escapeControl(lines.join('\n'));
    });
  },
});
