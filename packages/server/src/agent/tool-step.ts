/**
 * Runs the tool calls of one answer side by side: check the arguments against the tool's schema,
 * write the intent to the journal, run in the sandbox, journal the result. A failure is a result.
 */
import type { Clock } from '../lib/clock.ts';
import { toMessage } from '../lib/error.ts';
import type { Tool, ToolOutcome } from '../plugins/tools.ts';
import type { Store, ToolCallBlock, ToolResultMessage } from '../store/store.ts';
import type { RunEvent } from './events.ts';

export interface ToolStepDeps {
  readonly store: Pick<Store, 'journalStep'>;
  readonly clock: Clock;
  readonly tools: ReadonlyMap<string, Tool>;
  readonly maxParallelTools: number;
}

export interface ToolStepRun {
  readonly runId: string;
  readonly epoch: number;
  readonly sessionKey: string;
}

interface Finished {
  readonly message: ToolResultMessage;
  readonly event: RunEvent;
}

/** Yields each result as it comes; every call has one when this ends, in any order. */
export async function* runToolStep(
  calls: readonly ToolCallBlock[],
  run: ToolStepRun,
  deps: ToolStepDeps,
  options: { readonly signal: AbortSignal },
): AsyncGenerator<Finished, void, void> {
  const running = new Map<string, Promise<Finished>>();
  for (const [index, call] of calls.entries()) {
    const refused =
      index < deps.maxParallelTools
        ? undefined
        : `not run: at most ${deps.maxParallelTools} tool calls are allowed in one step`;
    running.set(call.id, runToolCall(call, refused, run, deps, options));
  }
  while (running.size > 0) {
    const finished = await Promise.race(running.values());
    running.delete(finished.message.toolCallId);
    yield finished;
  }
}

async function runToolCall(
  call: ToolCallBlock,
  refused: string | undefined,
  run: ToolStepRun,
  deps: ToolStepDeps,
  options: { readonly signal: AbortSignal },
): Promise<Finished> {
  const startedAtMs = deps.clock.now();
  const outcome = await decide(call, refused, run, deps, options);
  const message: ToolResultMessage = {
    role: 'tool-result',
    toolCallId: call.id,
    name: call.name,
    content: outcome.content,
    isError: outcome.isError,
  };
  await deps.store.journalStep(run.runId, run.epoch, { kind: 'result', message });
  const { walls, deniedGrant } = outcome;
  return {
    message,
    event: {
      type: 'tool-result',
      id: call.id,
      name: call.name,
      content: outcome.content,
      isError: outcome.isError,
      durationMs: deps.clock.now() - startedAtMs,
      ...(walls === undefined ? {} : { walls }),
      ...(deniedGrant === undefined ? {} : { deniedGrant }),
    },
  };
}

async function decide(
  call: ToolCallBlock,
  refused: string | undefined,
  run: ToolStepRun,
  deps: ToolStepDeps,
  options: { readonly signal: AbortSignal },
): Promise<ToolOutcome> {
  if (refused !== undefined) return toFailure(refused);
  const tool = deps.tools.get(call.name);
  if (tool === undefined) {
    const names = [...deps.tools.keys()].join(', ');
    return toFailure(`unknown tool "${call.name}"; available: ${names === '' ? 'none' : names}`);
  }
  const problem = tool.check(call.input);
  if (problem !== undefined) return toFailure(`invalid arguments: ${problem}`);
  await deps.store.journalStep(run.runId, run.epoch, { kind: 'intent', toolCallId: call.id });
  try {
    return await tool.call(call.input, { ...options, session: run.sessionKey });
  } catch (error) {
    return toFailure(`tool failed: ${toMessage(error)}`);
  }
}

function toFailure(content: string): ToolOutcome {
  return { content, isError: true };
}
