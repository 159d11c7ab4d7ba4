/**
 * Every model call goes through here: its estimate is reserved before it is made, and settled with
 * the provider's own figures afterwards. The counting is the store's, in one transaction each, so
 * that any number of calls side by side stays within a limit, and so that a killed process leaves
 * reservations that the next one finds (`recover`).
 *
 * A call is charged to the day it was made on, also when it ends after midnight.
 */
import { ExoclawError } from '../lib/error.ts';
import type { Clock } from '../lib/clock.ts';
import type { ModelId } from '../llm/provider.ts';
import type { CallStatus, Store, TokenUsage } from '../store/store.ts';
import { explainExceeded, findPassed, toLines, type BudgetLimits } from './budget.ts';
import type { Cost, Prices } from './price.ts';
import { countTokens } from '../lib/tokens.ts';

export interface ReserveCall {
  readonly callId: string;
  readonly runId: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly model: ModelId;
  /** Estimate of all that is sent. */
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
}

export type ReserveCallResult =
  /** `maxOutputTokens` is less than was asked for where a limit has no more room. */
  | { readonly kind: 'reserved'; readonly maxOutputTokens: number }
  | {
      readonly kind: 'exceeded';
      /** For the person: which budget, and what to do. */
      readonly message: string;
      /** When the budget starts anew; undefined for that of a session. */
      readonly resetsAtMs: number | undefined;
    };

export interface SettleCall {
  readonly callId: string;
  /** Who answered in the end. */
  readonly model: ModelId;
  /** The provider's figures, if any came. */
  readonly usage: TokenUsage | undefined;
  /** Estimate of what was sent, for when they did not. */
  readonly sentTokens: number;
  /** What came back, for when they did not. */
  readonly receivedText: string;
  readonly status: CallStatus;
  readonly latencyMs: number;
}

/** What a call was charged. */
export interface SettledCall {
  readonly usage: TokenUsage;
  readonly costNanoUsd: number;
  readonly estimated: boolean;
}

/** One limit and how much of it is gone; tokens or US dollars, as `unit` says. */
export interface BudgetStatus {
  readonly scope: 'session' | 'agent' | 'all';
  readonly id: string | undefined;
  readonly period: 'session' | 'day' | 'month';
  readonly unit: 'tokens' | 'usd';
  readonly used: number;
  readonly held: number;
  readonly limit: number;
  readonly resetsAtMs: number | undefined;
}

export interface Meter {
  /** @throws {ExoclawError} store_error */
  reserve(call: ReserveCall): Promise<ReserveCallResult>;
  /** Keeps figures that arrive early, for the case that the process dies. */
  note(callId: string, usage: TokenUsage): Promise<void>;
  /**
   * Ends a reserved call; once only.
   * @throws {ExoclawError} internal when the call is not open, store_error
   */
  settle(call: SettleCall): Promise<SettledCall>;
  /**
   * Ends what an earlier process has left open, with the figures that had arrived. Call it at
   * start. @returns how many calls there were.
   */
  recover(): Promise<number>;
  /** Every limit that is set, of all calls and of the session and agent that are named. */
  budgetStatus(sessionKey?: string, agentId?: string): Promise<readonly BudgetStatus[]>;
}

export interface MeterOptions {
  readonly store: Pick<
    Store,
    'reserve' | 'noteUsage' | 'settle' | 'listReservations' | 'readBudgets'
  >;
  readonly clock: Pick<Clock, 'now'>;
  readonly prices: Prices;
  /** The limits as they are now; asked at each call, so that an edit counts at once. */
  readonly budgets: () => BudgetLimits;
}

interface OpenCall {
  readonly runId: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly atMs: number;
  noted: TokenUsage | undefined;
}

const NO_USAGE: TokenUsage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
const NANO_USD_PER_USD = 1e9;
/** An answer is rather refused than cut shorter than this. */
const MIN_OUTPUT_TOKENS = 512;
/** Others may take the room between two tries; after this many the call is refused. */
const MAX_TRIES = 8;
/** No real call comes near; keeps a broken figure from making a sum inexact. */
const MAX_TOKENS = 1e9;

export function createMeter({ store, clock, prices, budgets }: MeterOptions): Meter {
  /** Reserved by this process and not settled yet. */
  const open = new Map<string, OpenCall>();

  /** The most a call can cost: all of its input may be written to the cache, which costs more. */
  const priceWorst = async (model: ModelId, input: number, output: number): Promise<number> => {
    const plain = await prices.costOf(model, { ...NO_USAGE, input, output });
    const cached = await prices.costOf(model, { ...NO_USAGE, input, output, cacheWrite: input });
    return Math.max(plain.nanoUsd, cached.nanoUsd);
  };

  return {
    async reserve({ callId, runId, sessionKey, agentId, model, inputTokens, maxOutputTokens }) {
      const atMs = clock.now();
      const lines = toLines(budgets(), { sessionKey, agentId }, atMs);
      const inputNanoUsd = await priceWorst(model, inputTokens, 0);
      const leastOutput = Math.min(maxOutputTokens, MIN_OUTPUT_TOKENS);
      const { provider, model: name } = model;
      const noted = toUsage({ ...NO_USAGE, input: inputTokens });
      const owner = { callId, runId, sessionKey, agentId, provider, model: name };
      const call = { ...owner, lines, noted, atMs };

      let output = maxOutputTokens;
      for (let tries = 1; ; tries += 1) {
        const tokens = inputTokens + output;
        const nanoUsd = await priceWorst(model, inputTokens, output);
        const result = await store.reserve({ ...call, tokens, nanoUsd });
        if (result.kind === 'reserved') break;

        const { use } = result;
        const line = lines.find(
          ({ scope, period }) => scope === result.line.scope && period === result.line.period,
        );
        if (line === undefined)
          throw new ExoclawError('internal', 'The store named no line of ours');
        const room =
          findPassed(line, use, tokens) === 'tokens'
            ? (line.limitTokens ?? 0) - use.usedTokens - use.heldTokens - inputTokens
            : (((line.limitNanoUsd ?? 0) - use.usedNanoUsd - use.heldNanoUsd - inputNanoUsd) /
                Math.max(1, nanoUsd - inputNanoUsd)) *
              output;
        const smaller = Math.min(output - 1, Math.floor(room));
        if (smaller < leastOutput || tries === MAX_TRIES) {
          const message = explainExceeded(line, use, { tokens, nanoUsd });
          return { kind: 'exceeded', message, resetsAtMs: line.resetsAtMs };
        }
        output = smaller;
      }
      open.set(callId, { runId, sessionKey, agentId, atMs, noted: undefined });
      return { kind: 'reserved', maxOutputTokens: output };
    },

    async note(callId, usage) {
      const call = open.get(callId);
      if (call === undefined) return;
      call.noted = toUsage(usage);
      await store.noteUsage(callId, call.noted);
    },

    async settle({ callId, model, status, latencyMs, ...figures }) {
      const call = open.get(callId);
      if (call === undefined) {
        throw new ExoclawError('internal', `Call "${callId}" is not open: reserve it first`);
      }
      const { usage, exact } = toFigures({ ...figures, status, noted: call.noted });
      const cost: Cost = await prices.costOf(model, usage);
      const settled: SettledCall = {
        usage,
        costNanoUsd: cost.nanoUsd,
        estimated: cost.estimated || !exact,
      };
      const { runId, sessionKey, agentId, atMs } = call;
      const { provider, model: name } = model;
      const owner = { callId, runId, sessionKey, agentId, provider, model: name };
      await store.settle({ ...owner, ...settled, status, latencyMs, atMs });
      open.delete(callId);
      return settled;
    },

    async recover() {
      const left = (await store.listReservations()).filter(({ callId }) => !open.has(callId));
      for (const { noted, tokens: _tokens, nanoUsd: _nanoUsd, ...call } of left) {
        const usage = noted ?? NO_USAGE;
        // The name was written by this program, whose providers may have changed since.
        const model = { provider: call.provider, model: call.model } as ModelId;
        const { nanoUsd: costNanoUsd } = await prices.costOf(model, usage);
        const status = 'interrupted';
        await store.settle({ ...call, usage, costNanoUsd, estimated: true, status, latencyMs: 0 });
      }
      return left.length;
    },

    async budgetStatus(sessionKey, agentId) {
      const lines = toLines(budgets(), { sessionKey, agentId }, clock.now());
      const uses = await store.readBudgets(lines);
      return lines.flatMap((line, index): readonly BudgetStatus[] => {
        const use = uses[index];
        if (use === undefined) return [];
        const { kind: scope, id, span: period, resetsAtMs } = line;
        const common = { scope, id, period, resetsAtMs };
        const rows: BudgetStatus[] = [];
        if (line.limitTokens !== undefined) {
          const { usedTokens: used, heldTokens: held } = use;
          rows.push({ ...common, unit: 'tokens', used, held, limit: line.limitTokens });
        }
        if (line.limitNanoUsd !== undefined) {
          rows.push({
            ...common,
            unit: 'usd',
            used: use.usedNanoUsd / NANO_USD_PER_USD,
            held: use.heldNanoUsd / NANO_USD_PER_USD,
            limit: line.limitNanoUsd / NANO_USD_PER_USD,
          });
        }
        return rows;
      });
    },
  };
}

/** The figures to charge, and whether the provider gave all of them. */
function toFigures(call: {
  readonly usage: TokenUsage | undefined;
  readonly noted: TokenUsage | undefined;
  readonly sentTokens: number;
  readonly receivedText: string;
  readonly status: CallStatus;
}): { readonly usage: TokenUsage; readonly exact: boolean } {
  if (call.usage !== undefined && call.status === 'ok') {
    return { usage: toUsage(call.usage), exact: true };
  }
  const received = countTokens(call.receivedText);
  const known = call.usage ?? call.noted;
  // A request that failed before anything came back is not billed.
  if (known === undefined && call.status === 'error' && received === 0) {
    return { usage: NO_USAGE, exact: true };
  }
  const base = toUsage(known ?? { ...NO_USAGE, input: call.sentTokens });
  // What a provider says before its answer is complete does not have the whole answer in it.
  const output = Math.max(base.output, received);
  return { usage: { ...base, output }, exact: call.usage !== undefined && output === base.output };
}

/** Figures come off the wire: makes them whole, not negative, and the parts no more than the sum. */
function toUsage(usage: TokenUsage): TokenUsage {
  const input = toCount(usage.input);
  const cacheRead = Math.min(toCount(usage.cacheRead), input);
  const cacheWrite = Math.min(toCount(usage.cacheWrite), input - cacheRead);
  return { input, output: toCount(usage.output), cacheRead, cacheWrite };
}

function toCount(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.min(MAX_TOKENS, Math.round(value)) : 0;
}
