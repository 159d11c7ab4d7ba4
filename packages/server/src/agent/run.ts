/**
 * The loop of one run: context, model, tools, again, until a final answer, a limit or an abort.
 *
 * Invariants: what is finished is journaled before the next step begins, so that a killed process
 * repeats nothing; whatever ends the run, the messages it commits are valid history for every
 * provider; `run-end` comes after the commit and is the last event.
 */
import { isErrorCode, type ErrorCode } from '@exoclaw/protocol';
import type { Clock } from '../lib/clock.ts';
import { ExoclawError } from '../lib/error.ts';
import type { Log } from '../lib/log.ts';
import type { Context, Memory } from '../memory/memory.ts';
import type { Meter } from '../meter/meter.ts';
import { countJson, countTokens } from '../lib/tokens.ts';
import type { Tool, ToolSource } from '../plugins/tools.ts';
import type { InboundMessage, RunStep, RunState, Store, TokenUsage } from '../store/store.ts';
import type { Agent, RunLimits } from './agent.ts';
import type { RunEvent, RunStopReason } from './events.ts';
import { callModel } from './model-call.ts';
import { RepeatGuard } from './repeat.ts';
import { runToolStep } from './tool-step.ts';
import { Transcript } from './transcript.ts';

export interface RunInput {
  readonly message: InboundMessage;
  /** Proof that this process owns the session. */
  readonly epoch: number;
  /** 1 for the first try. */
  readonly attempt: number;
  /** What earlier attempts have finished. */
  readonly steps: readonly RunStep[];
}

export interface RunDeps {
  readonly store: Pick<Store, 'journalStep' | 'commitRun'>;
  readonly memory: Memory;
  readonly meter: Meter;
  readonly tools: ToolSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: RunLimits;
}

interface Ending {
  readonly stopReason: RunStopReason;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** Sums over the model calls of a run. */
interface Bill {
  usage: TokenUsage;
  costNanoUsd: number;
  estimated: boolean;
  calls: number;
}

interface Run {
  readonly agent: Agent;
  readonly input: RunInput;
  readonly deps: RunDeps;
  readonly transcript: Transcript;
  readonly tools: ReadonlyMap<string, Tool>;
  readonly bill: Bill;
  /** Aborted by a person, or by the time limit. */
  readonly signal: AbortSignal;
  readonly deadline: AbortSignal;
  context: Context | undefined;
}

/**
 * Runs one message to its end. Never throws: what goes wrong is a `run-error` before `run-end`.
 * The message is in history already (`beginRun`).
 */
export async function* runAgent(
  agent: Agent,
  input: RunInput,
  deps: RunDeps,
  options: { readonly signal: AbortSignal },
): AsyncGenerator<RunEvent, void, void> {
  const startedAtMs = deps.clock.now();
  const deadline = AbortSignal.timeout(deps.limits.maxMs);
  const run: Run = {
    agent,
    input,
    deps,
    transcript: Transcript.restore(input.steps),
    tools: deps.tools.toolsOf(agent.plugins),
    bill: {
      usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
      costNanoUsd: 0,
      estimated: false,
      calls: 0,
    },
    signal: AbortSignal.any([options.signal, deadline]),
    deadline,
    context: undefined,
  };
  const { content } = input.message;
  yield { type: 'run-start', content, attempt: input.attempt };
  yield* replay(run.transcript);

  let ending = yield* converse(run);
  for (const result of run.transcript.close(`not run: ${ending.error?.message ?? 'stopped'}`)) {
    const { toolCallId: id, name, content: text } = result;
    yield { type: 'tool-result', id, name, content: text, isError: true, durationMs: 0 };
  }
  const lost = await commit(run, ending);
  if (lost !== undefined) ending = { stopReason: 'error', error: lost };

  const { bill } = run;
  if (bill.calls > 0 && run.context !== undefined) {
    yield {
      type: 'usage',
      usage: bill.usage,
      costNanoUsd: bill.costNanoUsd,
      estimated: bill.estimated,
      durationMs: deps.clock.now() - startedAtMs,
      context: run.context.parts,
    };
  }
  if (ending.error !== undefined) yield { type: 'run-error', ...ending.error };
  yield { type: 'run-end', stopReason: ending.stopReason };
}

/** Shows listeners what an earlier attempt had finished, as if it happened now. */
function* replay(transcript: Transcript): Generator<RunEvent, void, void> {
  for (const message of transcript.messages) {
    if (message.role === 'tool-result') {
      const { toolCallId: id, name, content, isError } = message;
      yield { type: 'tool-result', id, name, content, isError, durationMs: 0 };
      continue;
    }
    for (const block of message.content) {
      if (block.type === 'text') yield { type: 'text-delta', text: block.text };
      if (block.type === 'tool-call') {
        yield { type: 'tool-call', id: block.id, name: block.name, input: block.input };
      }
    }
  }
}

async function* converse(run: Run): AsyncGenerator<RunEvent, Ending, void> {
  const { transcript, deps } = run;
  const repeats = new RepeatGuard(deps.limits.maxRepeats);
  let final: RunStopReason = 'stop';
  try {
    for (;;) {
      if (run.signal.aborted) return toStopped(run);
      if (transcript.pending.length > 0) {
        const stuck = transcript.pending.find((call) => repeats.isStuck(call));
        if (stuck !== undefined) {
          return toLimit(
            `stopped: ${stuck.name} was called ${deps.limits.maxRepeats} times in a row with the same arguments`,
          );
        }
        yield* runPendingTools(run);
        continue;
      }
      if (transcript.lastAnswer !== undefined) return { stopReason: final };
      if (transcript.answers >= deps.limits.maxModelCalls) {
        return toLimit(
          `stopped: the answer took more than ${deps.limits.maxModelCalls} model calls; ask for less at once, or raise run.max_model_calls`,
        );
      }
      const answer = yield* askModel(run);
      if ('ending' in answer) return answer.ending;
      final = answer.stopReason;
    }
  } catch (error) {
    if (run.signal.aborted) return toStopped(run);
    return { stopReason: 'error', error: toRunError(error, run) };
  }
}

async function* askModel(
  run: Run,
): AsyncGenerator<RunEvent, { readonly stopReason: RunStopReason } | { readonly ending: Ending }> {
  const { agent, deps, input, transcript, bill } = run;
  run.context ??= await assembleContext(run);
  const { system, messages, parts } = run.context;
  const result = yield* callModel(
    agent,
    {
      runId: input.message.id,
      sessionKey: input.message.sessionKey,
      system,
      messages: [...messages, ...transcript.messages],
      tools: [...run.tools.values()].map(({ spec }) => spec),
      inputTokens:
        parts.soul +
        parts.facts +
        parts.recall +
        parts.window +
        parts.tools +
        countJson(transcript.messages),
    },
    deps,
    { signal: run.signal },
  );
  if (result.kind === 'refused') {
    return {
      ending: { stopReason: 'error', error: { code: 'budget_exceeded', message: result.reason } },
    };
  }
  const { settled } = result;
  bill.calls += 1;
  bill.usage = addUsage(bill.usage, settled.usage);
  bill.costNanoUsd += settled.costNanoUsd;
  bill.estimated ||= settled.estimated;
  if (result.kind === 'failed') {
    const stopped = run.signal.aborted;
    if (result.message.content.length > 0) {
      transcript.addAnswer({ ...result.message, stopped: stopped ? 'aborted' : 'error' });
    }
    if (stopped) return { ending: toStopped(run) };
    const code = result.code === 'aborted' ? 'provider_error' : result.code;
    return { ending: { stopReason: 'error', error: { code, message: result.reason } } };
  }
  transcript.addAnswer(result.message);
  // A final answer is committed at once; the journal is for answers that work follows on.
  if (transcript.pending.length > 0) {
    const { message } = result;
    await deps.store.journalStep(input.message.id, input.epoch, { kind: 'answer', message });
  }
  const { stopReason } = result;
  return { stopReason: stopReason === 'tool-call' ? 'stop' : stopReason };
}

async function* runPendingTools(run: Run): AsyncGenerator<RunEvent, void, void> {
  const { deps, input, transcript } = run;
  // Results go back in the order the model asked, whichever came first.
  const calls = transcript.pending;
  const results = new Map<string, Parameters<Transcript['addResult']>[0]>();
  const step = runToolStep(
    calls,
    { runId: input.message.id, epoch: input.epoch, sessionKey: input.message.sessionKey },
    { ...deps, tools: run.tools, maxParallelTools: deps.limits.maxParallelTools },
    { signal: run.signal },
  );
  for await (const { message, event } of step) {
    results.set(message.toolCallId, message);
    yield event;
  }
  for (const call of calls) {
    const result = results.get(call.id);
    if (result !== undefined) transcript.addResult(result);
  }
}

async function assembleContext(run: Run): Promise<Context> {
  const { agent, deps, input } = run;
  const toolTokens = [...run.tools.values()].reduce(
    (sum, { spec }) =>
      sum + countTokens(spec.name) + countTokens(spec.description) + countJson(spec.inputSchema),
    0,
  );
  return deps.memory.assemble({
    agentId: agent.id,
    sessionKey: input.message.sessionKey,
    runId: input.message.id,
    systemPrompt: agent.systemPrompt,
    soulPath: agent.soulPath,
    toolTokens,
    maxTokens: agent.contextTokens,
    nowMs: deps.clock.now(),
  });
}

/** @returns what to tell the person when the answer could not be kept. */
async function commit(run: Run, ending: Ending): Promise<Ending['error']> {
  const { deps, input, transcript } = run;
  const state: Exclude<RunState, 'started'> =
    ending.stopReason === 'aborted' ? 'aborted' : ending.error === undefined ? 'done' : 'failed';
  try {
    const committed = await deps.store.commitRun({
      id: input.message.id,
      sessionKey: input.message.sessionKey,
      epoch: input.epoch,
      state,
      messages: transcript.messages,
      ...(ending.error === undefined ? {} : { error: ending.error }),
      atMs: deps.clock.now(),
    });
    if (committed !== 'fenced') return undefined;
    return { code: 'internal', message: 'another process has taken over this session' };
  } catch (error) {
    deps.log.error({ err: error, run: input.message.id }, 'run could not be committed');
    return {
      code: 'store_error',
      message: 'the answer could not be stored; run "exoclaw doctor" on the gateway\'s machine',
    };
  }
}

function toStopped(run: Run): Ending {
  if (!run.deadline.aborted) return { stopReason: 'aborted' };
  const seconds = Math.round(run.deps.limits.maxMs / 1000);
  return toLimit(`stopped: the answer took longer than ${seconds} s (run.max_seconds)`);
}

function toLimit(message: string): Ending {
  return { stopReason: 'limit', error: { code: 'run_limit', message } };
}

function toRunError(error: unknown, run: Run): { code: ErrorCode; message: string } {
  if (error instanceof ExoclawError && isErrorCode(error.code)) {
    return { code: error.code, message: error.message };
  }
  run.deps.log.error({ err: error, run: run.input.message.id }, 'run failed');
  return { code: 'internal', message: "internal error; the gateway's log has the details" };
}

function addUsage(a: TokenUsage, b: TokenUsage): TokenUsage {
  return {
    input: a.input + b.input,
    output: a.output + b.output,
    cacheRead: a.cacheRead + b.cacheRead,
    cacheWrite: a.cacheWrite + b.cacheWrite,
  };
}
