/**
 * What the runtime keeps, and the transactions it keeps it with. One file per engine implements
 * this; `conformance.ts` is the suite that each of them passes.
 *
 * Correctness lives here and not in a bus: a run is keyed by its message id, so a repeated message
 * finds the first run; a session carries an epoch, so a writer that has lost the session is fenced
 * out; a reservation and its settlement are keyed by the call id, so doing either twice is doing
 * it once. Every method is one transaction.
 */

// ---- messages -------------------------------------------------------------------------------

/** Opaque data a provider wants back with the block it came with (a thinking signature, say). */
export type ProviderMetadata = { readonly [provider: string]: { readonly [key: string]: unknown } };

export interface TextBlock {
  readonly type: 'text';
  readonly text: string;
  readonly metadata?: ProviderMetadata;
}

export interface ThinkingBlock {
  readonly type: 'thinking';
  readonly text: string;
  readonly metadata?: ProviderMetadata;
}

export interface ToolCallBlock {
  readonly type: 'tool-call';
  readonly id: string;
  readonly name: string;
  /** The arguments as parsed JSON; what the model sent unparsable is kept as a string. */
  readonly input: unknown;
  readonly metadata?: ProviderMetadata;
}

export interface UserMessage {
  readonly role: 'user';
  readonly content: string;
}

export interface AssistantMessage {
  readonly role: 'assistant';
  readonly content: readonly (TextBlock | ThinkingBlock | ToolCallBlock)[];
  /** Set when the answer was cut: by a person, a limit or a failure. */
  readonly stopped?: 'aborted' | 'error' | 'limit';
}

export interface ToolResultMessage {
  readonly role: 'tool-result';
  readonly toolCallId: string;
  readonly name: string;
  readonly content: string;
  readonly isError: boolean;
}

export type Message = UserMessage | AssistantMessage | ToolResultMessage;

/** A message as it stands in a session: contiguous from 1, in order. */
export interface StoredMessage {
  readonly seq: number;
  readonly runId: string;
  readonly atMs: number;
  readonly message: Message;
}

// ---- sessions and inbox ---------------------------------------------------------------------

/** Where a message came from, as the gateway or a channel verified it. */
export interface Address {
  readonly channel: string;
  readonly account: string;
  readonly peer: string;
  readonly guild?: string;
  readonly team?: string;
  readonly roles?: readonly string[];
}

/** A routed message that was accepted and waits for its session's lane, or is being run. */
export interface InboundMessage {
  /** Unique over all sessions; the run's idempotency key. */
  readonly id: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly address: Address;
  readonly content: string;
  readonly acceptedAtMs: number;
}

export interface SessionRecord {
  readonly key: string;
  readonly agentId: string;
  readonly address: Address;
  readonly title: string | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly messageCount: number;
}

// ---- runs -----------------------------------------------------------------------------------

/** `started` runs are cut runs when the process that started them is gone. */
export type RunState = 'started' | 'done' | 'failed' | 'aborted' | 'dead';

export interface RunRecord {
  readonly id: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly state: RunState;
  readonly attempts: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  /** What the person was told when the run did not end with an answer. */
  readonly error: { readonly code: string; readonly message: string } | undefined;
}

export type BeginRunResult =
  /** First time: the user message is in history now. */
  | { readonly kind: 'new' }
  /** An earlier attempt was cut; `steps` is what it had finished, in order. */
  | { readonly kind: 'retry'; readonly attempts: number; readonly steps: readonly RunStep[] }
  /** Answered before; nothing was written. */
  | { readonly kind: 'ended'; readonly run: RunRecord }
  /** Another owner has taken the session with a higher epoch. */
  | { readonly kind: 'fenced'; readonly epoch: number };

/**
 * One line of a run's journal. An `intent` is written before a tool runs, so that after a crash a
 * call with an unknown outcome is never silently repeated.
 */
export type RunStep =
  | { readonly kind: 'answer'; readonly message: AssistantMessage }
  | { readonly kind: 'intent'; readonly toolCallId: string }
  | { readonly kind: 'result'; readonly message: ToolResultMessage };

export interface CommitRun {
  readonly id: string;
  readonly sessionKey: string;
  readonly epoch: number;
  readonly state: Exclude<RunState, 'started'>;
  /** Appended to history after the user message, in order. */
  readonly messages: readonly Message[];
  readonly error?: { readonly code: string; readonly message: string };
  readonly atMs: number;
}

/** `duplicate`: the run had ended before; nothing was written. */
export type CommitRunResult = 'committed' | 'duplicate' | 'fenced';

// ---- metering -------------------------------------------------------------------------------

/** Tokens of one model call; `input` is all of it, cache reads and writes included. */
export interface TokenUsage {
  readonly input: number;
  readonly output: number;
  /** The part of `input` that was read from the provider's prompt cache. */
  readonly cacheRead: number;
  /** The part of `input` that was written to it. */
  readonly cacheWrite: number;
}

/**
 * A counter that a call is charged to. `scope` is `session:KEY`, `agent:ID` or `all`; `period` is
 * `total`, a UTC day `2026-11-22` or a UTC month `2026-11`. Money is in nano-dollars (1e-9 USD),
 * so that sums are exact integers.
 */
export interface BudgetLine {
  readonly scope: string;
  readonly period: string;
  readonly limitTokens: number | undefined;
  readonly limitNanoUsd: number | undefined;
}

export interface BudgetUse {
  readonly scope: string;
  readonly period: string;
  readonly usedTokens: number;
  readonly heldTokens: number;
  readonly usedNanoUsd: number;
  readonly heldNanoUsd: number;
}

export interface Reservation {
  /** The model call; reserving it again changes nothing. */
  readonly callId: string;
  readonly runId: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly provider: string;
  readonly model: string;
  readonly tokens: number;
  readonly nanoUsd: number;
  readonly lines: readonly BudgetLine[];
  /** What to charge if the process dies before the provider has given any figures. */
  readonly noted?: TokenUsage;
  readonly atMs: number;
}

export type ReserveResult =
  | { readonly kind: 'reserved' }
  /** The first line that has no room; nothing was held on any line. */
  | { readonly kind: 'exceeded'; readonly line: BudgetLine; readonly use: BudgetUse };

export type CallStatus =
  | 'ok'
  | 'error'
  | 'aborted'
  /** The process died in the middle; the figures are what had arrived. */
  | 'interrupted';

export interface LedgerRow {
  readonly callId: string;
  readonly runId: string;
  readonly sessionKey: string;
  readonly agentId: string;
  readonly provider: string;
  readonly model: string;
  readonly usage: TokenUsage;
  readonly costNanoUsd: number;
  /** True when the price is a guess, or the provider's figures did not arrive. */
  readonly estimated: boolean;
  readonly status: CallStatus;
  readonly latencyMs: number;
  readonly atMs: number;
}

export interface UsageQuery {
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly sessionKey?: string;
  readonly agentId?: string;
  readonly runId?: string;
}

export type UsageGroup = 'day' | 'model' | 'agent' | 'session';

export interface UsageSum extends TokenUsage {
  /** The day, `provider/model`, agent id or session key; empty for the grand total. */
  readonly key: string;
  readonly calls: number;
  readonly costNanoUsd: number;
  readonly estimated: boolean;
}

// ---- the interface --------------------------------------------------------------------------

export interface Store extends AsyncDisposable {
  /** Name of the engine and where it keeps its data, for `status` and `doctor`. */
  describe(): { readonly engine: string; readonly ephemeral: boolean; readonly schema: number };

  // The durable queue of accepted messages.
  /**
   * Also forgets the messages in `done`, which are answered.
   * @returns false when a message with this id is there already.
   */
  putInbox(message: InboundMessage, done?: readonly string[]): Promise<boolean>;
  removeInbox(ids: readonly string[]): Promise<void>;
  /** Everything accepted and not yet removed, oldest first. */
  listInbox(): Promise<readonly InboundMessage[]>;

  // The turn protocol.
  /** A number no owner has had before; higher than all given out so far. */
  nextEpoch(): Promise<number>;
  beginRun(message: InboundMessage, epoch: number, atMs: number): Promise<BeginRunResult>;
  /** @throws {ExoclawError} store_error when the run is not `started` or the epoch is fenced. */
  journalStep(runId: string, epoch: number, step: RunStep): Promise<void>;
  commitRun(commit: CommitRun): Promise<CommitRunResult>;
  getRun(id: string): Promise<RunRecord | undefined>;

  // Sessions and history.
  getSession(key: string): Promise<SessionRecord | undefined>;
  /** Newest first. `before` is an `updatedAtMs` to page on from. */
  listSessions(options: {
    readonly limit: number;
    readonly before?: number;
    readonly agentId?: string;
  }): Promise<readonly SessionRecord[]>;
  countSessions(): Promise<number>;
  renameSession(key: string, title: string): Promise<boolean>;
  /** Deletes the messages and ended runs of a session; the session and its usage stay. */
  clearSession(key: string): Promise<number>;
  /** The newest `limit` messages before `beforeSeq`, oldest first. */
  readMessages(
    key: string,
    options: { readonly limit: number; readonly beforeSeq?: number },
  ): Promise<readonly StoredMessage[]>;
  /** The messages of one run, the user's first. */
  readRun(runId: string): Promise<readonly StoredMessage[]>;

  // Budgets and ledger.
  reserve(reservation: Reservation): Promise<ReserveResult>;
  /** Notes what the provider has said so far, for the case that the process dies. */
  noteUsage(callId: string, usage: TokenUsage): Promise<void>;
  /** Frees the reservation, charges its lines and writes the ledger row; a repeat does nothing. */
  settle(row: LedgerRow): Promise<void>;
  /** Reservations that were neither settled nor released, oldest first. */
  listReservations(): Promise<
    readonly (Omit<Reservation, 'lines' | 'noted'> & { readonly noted: TokenUsage | undefined })[]
  >;
  readBudgets(
    lines: readonly { readonly scope: string; readonly period: string }[],
  ): Promise<readonly BudgetUse[]>;
  sumUsage(query: UsageQuery, group?: UsageGroup): Promise<readonly UsageSum[]>;
  listUsage(query: UsageQuery & { readonly limit: number }): Promise<readonly LedgerRow[]>;

  // Plugin variables (`var_get`, `var_set`).
  readVars(plugin: string): Promise<ReadonlyMap<string, Uint8Array>>;
  /**
   * Applies a call's changes; `undefined` deletes.
   * @returns false, with nothing written, when the plugin would pass its quota.
   */
  writeVars(
    plugin: string,
    changes: ReadonlyMap<string, Uint8Array | undefined>,
    quota: { readonly maxBytes: number; readonly maxKeys: number },
  ): Promise<boolean>;
}
