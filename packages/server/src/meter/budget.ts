/**
 * Limits, the counters they are checked on, and the sentence a person reads when one is reached.
 * Days and months are those of UTC. Every call is charged to every counter, with a limit or
 * without, so that a limit that is set later counts what was used before.
 */
import type { BudgetLine, BudgetUse } from '../store/store.ts';

export interface AgentBudgetLimits {
  /** Tokens, input and output together, of one session in all its life. */
  readonly session?: number | undefined;
  readonly daily?: number | undefined;
  readonly monthly?: number | undefined;
  readonly usdDaily?: number | undefined;
  readonly usdMonthly?: number | undefined;
}

/** `session` of an agent takes the place of the general one; its other limits apply on top. */
export interface BudgetLimits extends AgentBudgetLimits {
  readonly agents?: Readonly<Record<string, AgentBudgetLimits>> | undefined;
}

/** A counter with what a person needs to know of it. */
export interface NamedLine extends BudgetLine {
  readonly kind: 'session' | 'agent' | 'all';
  /** Session key or agent id. */
  readonly id: string | undefined;
  readonly span: 'session' | 'day' | 'month';
  /** The agent whose own limit this is. */
  readonly limitAgentId: string | undefined;
  readonly resetsAtMs: number | undefined;
}

const NANO_USD_PER_USD = 1e9;

/** The counters of a call at `nowMs`; without a session or an agent, those that are left. */
export function toLines(
  limits: BudgetLimits,
  call: { readonly sessionKey?: string | undefined; readonly agentId?: string | undefined },
  nowMs: number,
): readonly NamedLine[] {
  const { sessionKey, agentId } = call;
  const own = agentId === undefined ? undefined : limits.agents?.[agentId];
  const lines: NamedLine[] = [];
  if (sessionKey !== undefined) {
    lines.push({
      kind: 'session',
      id: sessionKey,
      span: 'session',
      scope: `session:${sessionKey}`,
      period: 'total',
      limitTokens: own?.session ?? limits.session,
      limitNanoUsd: undefined,
      limitAgentId: own?.session === undefined ? undefined : agentId,
      resetsAtMs: undefined,
    });
  }
  if (agentId !== undefined) lines.push(...toPeriods('agent', agentId, own ?? {}, nowMs));
  lines.push(...toPeriods('all', undefined, limits, nowMs));
  return lines;
}

function toPeriods(
  kind: 'agent' | 'all',
  id: string | undefined,
  limits: AgentBudgetLimits,
  nowMs: number,
): readonly NamedLine[] {
  const now = new Date(nowMs);
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  const date = now.toISOString().slice(0, 10);
  const scope = id === undefined ? 'all' : `agent:${id}`;
  return [
    {
      kind,
      id,
      span: 'day',
      scope,
      period: date,
      limitTokens: limits.daily,
      limitNanoUsd: toNanoUsd(limits.usdDaily),
      limitAgentId: id,
      resetsAtMs: Date.UTC(year, month, day + 1),
    },
    {
      kind,
      id,
      span: 'month',
      scope,
      period: date.slice(0, 7),
      limitTokens: limits.monthly,
      limitNanoUsd: toNanoUsd(limits.usdMonthly),
      limitAgentId: id,
      resetsAtMs: Date.UTC(year, month + 1, 1),
    },
  ];
}

function toNanoUsd(usd: number | undefined): number | undefined {
  return usd === undefined ? undefined : Math.round(usd * NANO_USD_PER_USD);
}

/** Which limit of a line that had no room for `tokens` more was in the way. */
export function findPassed(line: BudgetLine, use: BudgetUse, tokens: number): 'tokens' | 'usd' {
  const { limitTokens } = line;
  const passed =
    limitTokens !== undefined && use.usedTokens + use.heldTokens + tokens > limitTokens;
  return passed ? 'tokens' : 'usd';
}

/**
 * The message of a refused call: `token budget exceeded (session: 9500/10000)`, then what to do.
 * What running calls hold counts as used.
 */
export function explainExceeded(
  line: NamedLine,
  use: BudgetUse,
  need: { readonly tokens: number; readonly nanoUsd: number },
): string {
  const unit = findPassed(line, use, need.tokens);
  const spent =
    unit === 'tokens'
      ? `${use.usedTokens + use.heldTokens}/${line.limitTokens ?? 0}`
      : `${toDollars(use.usedNanoUsd + use.heldNanoUsd)}/${toDollars(line.limitNanoUsd ?? 0)}`;
  const span = { session: 'session', day: 'daily', month: 'monthly' }[line.span];
  const agent = line.kind === 'agent' ? `agent ${line.id} ` : '';
  const key = `${unit === 'usd' ? 'usd_' : ''}${span}`;
  const needs = unit === 'tokens' ? `${need.tokens} tokens` : toDollars(need.nanoUsd);
  const where =
    line.limitAgentId === undefined
      ? `"budgets.${key}"`
      : `"budgets.${key}" of agent "${line.limitAgentId}"`;
  const way =
    line.resetsAtMs === undefined
      ? 'start a new session'
      : `wait until ${toMinute(line.resetsAtMs)} UTC`;
  return (
    `token budget exceeded (${agent}${span}: ${spent}). ` +
    `The next call may need ${needs}; ${way}, or raise ${where}`
  );
}

/** Two decimals, or four where two would show nothing. */
function toDollars(nanoUsd: number): string {
  const usd = nanoUsd / NANO_USD_PER_USD;
  return `$${usd.toFixed(usd !== 0 && usd < 0.1 ? 4 : 2)}`;
}

function toMinute(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 16).replace('T', ' ');
}
