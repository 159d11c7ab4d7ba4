/** A provider without a wire: plays given events, call by call, for tests of what wraps one. */
import type { LlmEvent, LlmFailure, ModelId, Provider } from '../src/llm/provider.ts';

const MODEL: ModelId = { provider: 'anthropic', model: 'test-model' };

export interface ScriptedProvider extends Provider {
  /** How often it was asked. */
  readonly calls: number;
}

/** Plays the last script again when it is asked more often than there are scripts. */
export function createScriptedProvider(
  scripts: readonly (readonly LlmEvent[])[],
): ScriptedProvider {
  let calls = 0;
  return {
    model: MODEL,
    get calls() {
      return calls;
    },
    async *stream(_request, { signal }) {
      calls += 1;
      for (const event of scripts[Math.min(calls, scripts.length) - 1] ?? []) {
        if (signal.aborted) return;
        yield event;
      }
    },
  };
}

export function toTextEvent(text: string): LlmEvent {
  return { type: 'text-delta', text };
}

export function toFinishEvent(text: string): LlmEvent {
  const message = { role: 'assistant', content: [{ type: 'text', text }] } as const;
  return { type: 'finish', model: MODEL, stopReason: 'stop', message, usage: undefined };
}

export function toErrorEvent(failure: Partial<LlmFailure> = {}): LlmEvent {
  const error: LlmFailure = {
    code: 'provider_error',
    message: 'provider error: connection refused',
    retryable: true,
    ...failure,
  };
  const message = { role: 'assistant', content: [] } as const;
  return { type: 'error', model: MODEL, error, message, usage: undefined };
}
