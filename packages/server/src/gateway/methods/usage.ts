/** `usage.query`: sums over the ledger, and its newest rows. */
import type { MethodResult } from '@exoclaw/protocol';
import type { LedgerRow, UsageQuery, UsageSum } from '../../store/store.ts';
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';

type UsageResult = MethodResult<'usage.query'>;

const NANO_USD_PER_USD = 1e9;
const NOTHING: UsageSum = {
  key: '',
  calls: 0,
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite: 0,
  costNanoUsd: 0,
  estimated: false,
};

export function createUsageHandlers({ options }: GatewayContext): Pick<Handlers, 'usage.query'> {
  const { store } = options;

  return {
    'usage.query': async ({ from, to, session, agent, by, rows }) => {
      const query: UsageQuery = {
        ...(from === undefined ? {} : { fromMs: Date.parse(from) }),
        ...(to === undefined ? {} : { toMs: Date.parse(to) }),
        ...(session === undefined ? {} : { sessionKey: session }),
        ...(agent === undefined ? {} : { agentId: agent }),
      };
      const [totals, groups, ledger] = await Promise.all([
        store.sumUsage(query),
        store.sumUsage(query, by),
        rows === 0 ? [] : store.listUsage({ ...query, limit: rows }),
      ]);
      return {
        total: toUsageRow(totals[0] ?? NOTHING),
        groups: groups.map(toUsageRow),
        rows: ledger.map(toLedgerRow),
      };
    },
  };
}

function toUsageRow(sum: UsageSum): UsageResult['total'] {
  return {
    key: sum.key,
    calls: sum.calls,
    input_tokens: sum.input,
    output_tokens: sum.output,
    cached_tokens: sum.cacheRead,
    cache_write_tokens: sum.cacheWrite,
    cost_usd: sum.costNanoUsd / NANO_USD_PER_USD,
    estimated: sum.estimated,
  };
}

function toLedgerRow(row: LedgerRow): UsageResult['rows'][number] {
  return {
    at: new Date(row.atMs).toISOString(),
    call: row.callId,
    run: row.runId,
    session: row.sessionKey,
    agent: row.agentId,
    provider: row.provider,
    model: row.model,
    input_tokens: row.usage.input,
    output_tokens: row.usage.output,
    cached_tokens: row.usage.cacheRead,
    cache_write_tokens: row.usage.cacheWrite,
    cost_usd: row.costNanoUsd / NANO_USD_PER_USD,
    estimated: row.estimated,
    status: row.status,
    latency_ms: row.latencyMs,
  };
}
