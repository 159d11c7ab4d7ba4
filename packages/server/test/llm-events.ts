/** A request to ask a provider with, and ways to look at what it answered. */
import assert from 'node:assert/strict';
import type { LlmEvent, LlmRequest, Provider } from '../src/llm/provider.ts';
import type { AssistantMessage } from '../src/store/store.ts';

export function toRequest(overrides: Partial<LlmRequest> = {}): LlmRequest {
  return {
    callId: 'call_test',
    system: 'Answer in one word.',
    messages: [{ role: 'user', content: 'Hello?' }],
    tools: [
      {
        name: 'echo',
        description: 'Says it again',
        inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
      },
    ],
    maxOutputTokens: 256,
    ...overrides,
  };
}

export async function collect(
  provider: Provider,
  request: LlmRequest = toRequest(),
  signal: AbortSignal = new AbortController().signal,
): Promise<LlmEvent[]> {
  return Array.fromAsync(provider.stream(request, { signal }));
}

export function toText(message: AssistantMessage): string {
  return message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

/** The last event, which has to be the only `finish`. */
export function toFinish(events: readonly LlmEvent[]): Extract<LlmEvent, { type: 'finish' }> {
  const last = events.at(-1);
  assert.ok(last?.type === 'finish', `expected finish, got ${JSON.stringify(last)}`);
  assert.equal(events.filter(isEnd).length, 1);
  return last;
}

/** The last event, which has to be the only `error`. */
export function toError(events: readonly LlmEvent[]): Extract<LlmEvent, { type: 'error' }> {
  const last = events.at(-1);
  assert.ok(last?.type === 'error', `expected error, got ${JSON.stringify(last)}`);
  assert.equal(events.filter(isEnd).length, 1);
  return last;
}

function isEnd({ type }: LlmEvent): boolean {
  return type === 'finish' || type === 'error';
}
