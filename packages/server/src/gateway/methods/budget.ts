/** `budget.status`: how much of each limit is gone. */
import type { GatewayContext } from '../context.ts';
import type { Handlers } from '../rpc.ts';

export function createBudgetHandlers({ options }: GatewayContext): Pick<Handlers, 'budget.status'> {
  return {
    'budget.status': async ({ session, agent }) => {
      const rows = await options.meter.budgetStatus(session, agent);
      return {
        budgets: rows.map(({ scope, id, period, unit, used, held, limit, resetsAtMs }) => ({
          scope,
          ...(id === undefined ? {} : { id }),
          period,
          unit,
          used,
          held,
          limit,
          ...(resetsAtMs === undefined ? {} : { resets: new Date(resetsAtMs).toISOString() }),
        })),
      };
    },
  };
}
