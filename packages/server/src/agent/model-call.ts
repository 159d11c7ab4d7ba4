/**
 * One call of the model: reserve its budget, stream it, settle with the provider's own figures.
 * Whatever happens in between, the reservation is settled exactly once.
 */
import type { ErrorCode } from '@exoclaw/protocol';
import type { Clock } from '../lib/clock.ts';
import { createId } from '../lib/id.ts';
import type { LlmEvent, LlmRequest, StopReason } from '../llm/provider.ts';
import type { Meter, SettledCall } from '../meter/meter.ts';
import type { AssistantMessage, CallStatus, Message, TokenUsage } from '../store/store.ts';
import type { Agent } from './agent.ts';
import type { RunEvent } from './events.ts';

export interface ModelCallInput {
  readonly runId: string;
  readonly sessionKey: string;
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: LlmRequest['tools'];
  /** Estimate of everything that is sent, tokens. */
  readonly inputTokens: number;
}

export type ModelCallResult =
  | {
      readonly kind: 'answer';
      readonly message: AssistantMessage;
      readonly stopReason: StopReason;
      readonly settled: SettledCall;
    }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode | 'aborted';
      readonly reason: string;
      /** What had arrived before the failure. */
      readonly message: AssistantMessage;
      readonly settled: SettledCall;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Streams one answer; yields text and tool calls as they arrive. */
export async function* callModel(
  agent: Agent,
  input: ModelCallInput,
  deps: { readonly meter: Meter; readonly clock: Clock },
  options: { readonly signal: AbortSignal },
): AsyncGenerator<RunEvent, ModelCallResult, void> {
  const callId = createId('call');
  const reserved = await deps.meter.reserve({
    callId,
    runId: input.runId,
    sessionKey: input.sessionKey,
    agentId: agent.id,
    model: agent.provider.model,
    inputTokens: input.inputTokens,
    maxOutputTokens: agent.maxOutputTokens,
  });
  if (reserved.kind === 'exceeded') return { kind: 'refused', reason: reserved.message };

  const startedAtMs = deps.clock.now();
  let receivedText = '';
  let last: Extract<LlmEvent, { type: 'finish' | 'error' }> | undefined;
  // Figures that come early are kept for the case of a crash, behind the first text: that is what
  // somebody waits for.
  let early: TokenUsage | undefined;
  let noted: Promise<void> | undefined;
  const settle = async (status: CallStatus): Promise<SettledCall> => {
    await noted;
    return deps.meter.settle({
      callId,
      model: last?.model ?? agent.provider.model,
      usage: last?.usage,
      sentTokens: input.inputTokens,
      receivedText,
      status,
      latencyMs: deps.clock.now() - startedAtMs,
    });
  };
  const request: LlmRequest = {
    callId,
    system: input.system,
    messages: input.messages,
    tools: input.tools,
    maxOutputTokens: reserved.maxOutputTokens,
  };
  let streamed = false;
  try {
    for await (const event of agent.provider.stream(request, options)) {
      if (event.type === 'text-delta') {
        receivedText += event.text;
        yield event;
      } else if (event.type === 'tool-call') {
        const { id, name, input: toolInput } = event.call;
        yield { type: 'tool-call', id, name, input: toolInput };
      } else if (event.type === 'finish' || event.type === 'error') {
        last = event;
      }
      if (event.type === 'usage') early = event.usage;
      else if (early !== undefined) {
        noted = deps.meter.note(callId, early);
        early = undefined;
      }
    }
    streamed = true;
  } finally {
    // A listener that leaves in the middle must not leave the reservation behind.
    if (!streamed) await settle('aborted');
  }
  const failed = last?.type === 'error' ? last.error : undefined;
  const settled = await settle(
    failed === undefined ? 'ok' : failed.code === 'aborted' ? 'aborted' : 'error',
  );
  if (last?.type === 'finish') {
    return { kind: 'answer', message: last.message, stopReason: last.stopReason, settled };
  }
  return {
    kind: 'failed',
    code: failed?.code ?? 'provider_error',
    reason: failed?.message ?? 'provider error: the stream ended without a result',
    message: last?.message ?? { role: 'assistant', content: [] },
    settled,
  };
}
