/** What the suites share: how a store is opened, and records with everything filled in. */
import type {
  BudgetLine,
  CommitRun,
  InboundMessage,
  LedgerRow,
  Reservation,
  Store,
} from '../store.ts';

export interface OpenedStore extends AsyncDisposable {
  readonly store: Store;
  /** Closes the store that was opened last and opens the same data again. */
  reopen(): Promise<Store>;
}

export type OpenStore = () => Promise<OpenedStore>;

export const SESSION = 'main:test:default:ada';
export const DAY_MS = Date.UTC(2026, 10, 22);

export function makeMessage(id: string, changes: Partial<InboundMessage> = {}): InboundMessage {
  return {
    id,
    sessionKey: SESSION,
    agentId: 'main',
    address: { channel: 'test', account: 'default', peer: 'ada' },
    content: `question ${id}`,
    acceptedAtMs: DAY_MS,
    ...changes,
  };
}

export function makeCommit(id: string, epoch: number, changes: Partial<CommitRun> = {}): CommitRun {
  return {
    id,
    sessionKey: SESSION,
    epoch,
    state: 'done',
    messages: [{ role: 'assistant', content: [{ type: 'text', text: `answer ${id}` }] }],
    atMs: DAY_MS + 1,
    ...changes,
  };
}

/** Begins and commits a run, so that the session has a question and an answer more. */
export async function answer(
  store: Store,
  message: InboundMessage,
  epoch: number,
  atMs = DAY_MS,
): Promise<void> {
  await store.beginRun(message, epoch, atMs);
  await store.commitRun(makeCommit(message.id, epoch, { sessionKey: message.sessionKey, atMs }));
}

export function makeLine(scope: string, limitTokens?: number, period = 'total'): BudgetLine {
  return { scope, period, limitTokens, limitNanoUsd: undefined };
}

export function makeReservation(
  callId: string,
  lines: readonly BudgetLine[],
  changes: Partial<Reservation> = {},
): Reservation {
  return {
    callId,
    runId: 'run-1',
    sessionKey: SESSION,
    agentId: 'main',
    provider: 'anthropic',
    model: 'claude',
    tokens: 100,
    nanoUsd: 1000,
    lines,
    atMs: DAY_MS,
    ...changes,
  };
}

export function makeLedgerRow(callId: string, changes: Partial<LedgerRow> = {}): LedgerRow {
  return {
    callId,
    runId: 'run-1',
    sessionKey: SESSION,
    agentId: 'main',
    provider: 'anthropic',
    model: 'claude',
    usage: { input: 40, output: 20, cacheRead: 10, cacheWrite: 5 },
    costNanoUsd: 600,
    estimated: false,
    status: 'ok',
    latencyMs: 12.5,
    atMs: DAY_MS,
    ...changes,
  };
}
