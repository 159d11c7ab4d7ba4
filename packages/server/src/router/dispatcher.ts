/**
 * From a verified message to a run: routes it, makes it durable, queues it on its session's lane,
 * runs the agent, and lets any number of listeners follow.
 */
import type { ErrorCode } from '@exoclaw/protocol';
import type { Agent } from '../agent/agent.ts';
import { runAgent, type RunDeps } from '../agent/run.ts';
import type { Bus, Delivery } from '../bus/bus.ts';
import { ExoclawError } from '../lib/error.ts';
import { createId } from '../lib/id.ts';
import { TaskGroup } from '../lib/tasks.ts';
import type { Address, BeginRunResult, InboundMessage, Store } from '../store/store.ts';
import { Lanes, type LaneLimits } from './lane.ts';
import { replayRun } from './replay.ts';
import type { Router } from './router.ts';
import { RunLog, type SequencedEvent } from './run-log.ts';
import { formatSessionKey, hashSessionKey } from './session-key.ts';
import { Watchers } from './watchers.ts';

export interface SendRequest {
  readonly address: Address;
  readonly content: string;
  /** The agent to answer, in place of the one the bindings say. */
  readonly agentId?: string;
  /** Makes the message idempotent inside its session; made up when absent. */
  readonly messageId?: string;
}

export interface RunHandle {
  readonly runId: string;
  readonly sessionKey: string;
  readonly messageId: string;
  /** What has happened after `after`, then what happens, until `run-end` or the signal. */
  events(options: {
    readonly after?: number;
    readonly signal: AbortSignal;
  }): AsyncIterable<SequencedEvent>;
}

export interface Dispatcher extends AsyncDisposable {
  /**
   * Accepts a message; when this resolves it is stored and will be answered. A repeat of a
   * `messageId` gets the handle of the first run, replayed from the start.
   * @throws {ExoclawError} no_agent, session_busy, rate_limited or shutting_down.
   */
  send(request: SendRequest): Promise<RunHandle>;
  /** Stops a run, or the running one of a session. @returns whether there was one. */
  abort(target: { readonly runId: string } | { readonly sessionKey: string }): boolean;
  /** The run that is going on in a session, or the named one, going on or ended. */
  find(sessionKey: string, runId?: string): Promise<RunHandle | undefined>;
  /** Every event of every run of a session from now on. */
  watch(
    sessionKey: string,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<SequencedEvent & { readonly runId: string }>;
  isRunning(sessionKey: string): boolean;
  /** Runs going on or queued. */
  readonly active: number;
  /** Takes no more messages and resolves when every run has ended. */
  drain(): Promise<void>;
}

/** A run that stops the process this often is set aside instead of being tried again. */
const MAX_ATTEMPTS = 5;
/** Ended runs whose events are still at hand, for clients that come back. */
const MAX_RECENT = 256;

export interface DispatcherOptions {
  readonly store: Store;
  readonly bus: Bus;
  /** Asked at every message, so that a reloaded configuration counts from then on. */
  readonly router: () => Router;
  readonly agent: (id: string) => Agent | undefined;
  readonly run: Omit<RunDeps, 'store'>;
  readonly lanes: LaneLimits;
}

/** A run that is queued or going on. */
interface ActiveRun {
  readonly log: RunLog;
  readonly sessionKey: string;
  readonly abort: AbortController;
}

/** Opens the dispatcher and goes on with what an earlier process left unfinished. */
export async function openDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const dispatcher = new LocalDispatcher(options, await options.store.nextEpoch());
  await options.bus.consume((delivery) => dispatcher.deliver(delivery));
  return dispatcher;
}

class LocalDispatcher implements Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #epoch: number;
  readonly #lanes: Lanes;
  readonly #active = new Map<string, ActiveRun>();
  readonly #recent = new Map<string, ActiveRun>();
  readonly #running = new Map<string, string>();
  readonly #watchers = new Watchers();
  readonly #tasks: TaskGroup;
  /** Runs that were cut go one at a time: if one of them is the cause, it is alone when it strikes. */
  #suspects: Promise<void> = Promise.resolve();
  #draining = false;

  constructor(options: DispatcherOptions, epoch: number) {
    this.#options = options;
    this.#epoch = epoch;
    this.#lanes = new Lanes(options.lanes);
    this.#tasks = new TaskGroup((name, error) =>
      options.run.log.error({ err: error, task: name }, 'background task failed'),
    );
  }

  get active(): number {
    return this.#active.size;
  }

  async send(request: SendRequest): Promise<RunHandle> {
    const { sessionKey, agentId } = this.#route(request);
    const messageId = request.messageId ?? createId('msg');
    const runId = toRunId(sessionKey, messageId);

    const known = await this.#findRun(sessionKey, runId, request.messageId !== undefined);
    if (known !== undefined) return known;
    if (this.#draining) {
      throw new ExoclawError(
        'shutting_down',
        'The gateway is shutting down; send again in a moment',
      );
    }
    this.#lanes.assertRoom(sessionKey);
    await this.#options.bus.publish({
      id: runId,
      sessionKey,
      agentId,
      address: request.address,
      content: request.content,
      acceptedAtMs: this.#options.run.clock.now(),
    });
    const run = this.#active.get(runId) ?? this.#recent.get(runId);
    if (run === undefined)
      throw new ExoclawError('internal', 'The message was stored but not queued');
    return toHandle(runId, sessionKey, messageId, run.log);
  }

  abort(target: { readonly runId: string } | { readonly sessionKey: string }): boolean {
    const runId = 'runId' in target ? target.runId : this.#running.get(target.sessionKey);
    const run = runId === undefined ? undefined : this.#active.get(runId);
    if (run === undefined || run.abort.signal.aborted) return false;
    run.abort.abort();
    return true;
  }

  async find(sessionKey: string, runId?: string): Promise<RunHandle | undefined> {
    const id = runId ?? this.#running.get(sessionKey);
    return id === undefined ? undefined : this.#findRun(sessionKey, id, true);
  }

  watch(
    sessionKey: string,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<SequencedEvent & { readonly runId: string }> {
    const runId = this.#running.get(sessionKey);
    const current = runId === undefined ? undefined : this.#active.get(runId);
    return this.#watchers.watch(
      sessionKey,
      runId === undefined || current === undefined ? undefined : { runId, log: current.log },
      options,
    );
  }

  isRunning(sessionKey: string): boolean {
    return this.#running.has(sessionKey);
  }

  async drain(): Promise<void> {
    this.#draining = true;
    await this.#lanes.stop();
    await this.#tasks.idle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true;
    for (const run of this.#active.values()) run.abort.abort();
    await this.drain();
  }

  /** Queues what the bus delivers; called once for each message, in order within a session. */
  deliver(delivery: Delivery): void {
    const { message, redelivered } = delivery;
    if (this.#active.has(message.id)) return;
    const run: ActiveRun = {
      log: new RunLog(),
      sessionKey: message.sessionKey,
      abort: new AbortController(),
    };
    this.#active.set(message.id, run);
    this.#lanes.add(message.sessionKey, async () => {
      this.#running.set(message.sessionKey, message.id);
      this.#watchers.announce(message.sessionKey, { runId: message.id, log: run.log });
      try {
        if (redelivered) await this.#runAlone(delivery, run);
        else await this.#run(delivery, run);
      } catch (error) {
        this.#options.run.log.error({ err: error, run: message.id }, 'run could not be finished');
        this.#fail(run, 'store_error', 'the message is kept and will be tried at the next start');
      } finally {
        this.#running.delete(message.sessionKey);
        this.#retire(message.id, run);
      }
    });
  }

  #route({ address, agentId }: SendRequest): { sessionKey: string; agentId: string } {
    const { channel, account, peer } = address;
    if (agentId === undefined) {
      const route = this.#options.router().resolve(address);
      if (route !== undefined) return route;
      throw new ExoclawError('no_agent', `no agent configured for ${channel}:${account}:${peer}`);
    }
    if (this.#options.agent(agentId) === undefined) {
      throw new ExoclawError(
        'no_agent',
        `There is no agent "${agentId}"; "exoclaw status" has all`,
      );
    }
    return { agentId, sessionKey: formatSessionKey({ agent: agentId, channel, account, peer }) };
  }

  async #runAlone(delivery: Delivery, run: ActiveRun): Promise<void> {
    const before = this.#suspects;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#suspects = promise;
    await before;
    try {
      await this.#run(delivery, run);
    } finally {
      resolve();
    }
  }

  async #run(delivery: Delivery, run: ActiveRun): Promise<void> {
    const { store, run: deps } = this.#options;
    const { message } = delivery;
    const begun = await store.beginRun(message, this.#epoch, deps.clock.now());
    if (begun.kind === 'fenced') {
      this.#fail(run, 'shutting_down', 'another gateway has taken over this session; reconnect');
      return;
    }
    if (begun.kind === 'ended') {
      for (const event of await replayRun(store, begun.run)) run.log.append(event);
    } else {
      await this.#answer(message, begun, run);
    }
    await delivery.ack();
  }

  async #answer(
    message: InboundMessage,
    begun: Extract<BeginRunResult, { kind: 'new' | 'retry' }>,
    run: ActiveRun,
  ): Promise<void> {
    const { store, run: deps } = this.#options;
    const attempt = begun.kind === 'new' ? 1 : begun.attempts;
    const agent = this.#options.agent(message.agentId);
    if (agent === undefined) {
      const reason = `agent "${message.agentId}" is not configured any more`;
      return this.#setAside(message, run, 'no_agent', reason);
    }
    if (attempt > MAX_ATTEMPTS) {
      const reason = 'this message stopped the gateway several times and was set aside';
      return this.#setAside(message, run, 'internal', reason);
    }
    const input = {
      message,
      epoch: this.#epoch,
      attempt,
      steps: begun.kind === 'new' ? [] : begun.steps,
    };
    const { signal } = run.abort;
    for await (const event of runAgent(agent, input, { ...deps, store }, { signal })) {
      run.log.append(event);
    }
  }

  /** Ends a run that can't be answered, so that it is not tried again. */
  async #setAside(
    { id, sessionKey }: InboundMessage,
    run: ActiveRun,
    code: ErrorCode,
    message: string,
  ): Promise<void> {
    const { store, run: deps } = this.#options;
    await store.commitRun({
      id,
      sessionKey,
      epoch: this.#epoch,
      state: 'dead',
      messages: [],
      error: { code, message },
      atMs: deps.clock.now(),
    });
    this.#fail(run, code, message);
  }

  async #findRun(
    sessionKey: string,
    runId: string,
    mayBeStored: boolean,
  ): Promise<RunHandle | undefined> {
    const messageId = runId.slice(toRunId(sessionKey, '').length);
    const run = this.#active.get(runId) ?? this.#recent.get(runId);
    if (run !== undefined) {
      return run.sessionKey === sessionKey
        ? toHandle(runId, sessionKey, messageId, run.log)
        : undefined;
    }
    const stored = mayBeStored ? await this.#options.store.getRun(runId) : undefined;
    if (stored === undefined || stored.sessionKey !== sessionKey || stored.state === 'started') {
      return undefined;
    }
    const log = new RunLog();
    for (const event of await replayRun(this.#options.store, stored)) log.append(event);
    return toHandle(runId, sessionKey, messageId, log);
  }

  #fail(run: ActiveRun, code: ErrorCode, message: string): void {
    if (run.log.ended) return;
    run.log.append({ type: 'run-error', code, message });
    run.log.append({ type: 'run-end', stopReason: 'error' });
  }

  #retire(runId: string, run: ActiveRun): void {
    this.#active.delete(runId);
    this.#recent.set(runId, run);
    const [oldest] = this.#recent.keys();
    if (this.#recent.size > MAX_RECENT && oldest !== undefined) this.#recent.delete(oldest);
  }
}

function toRunId(sessionKey: string, messageId: string): string {
  return `run_${hashSessionKey(sessionKey)}_${messageId}`;
}

function toHandle(runId: string, sessionKey: string, messageId: string, log: RunLog): RunHandle {
  return { runId, sessionKey, messageId, events: (options) => log.follow(options) };
}
