/**
 * What the agent knows of a model provider. A stream never throws: whatever happens, it ends with
 * exactly one `finish` or `error`, and whoever stops reading it cancels the request.
 */
import type { AssistantMessage, Message, TokenUsage, ToolCallBlock } from '../store/store.ts';

export type ProviderName =
  | 'anthropic'
  | 'openai'
  | 'google'
  | 'ollama'
  | 'openai-compatible'
  | 'demo';

/** A tool as the model sees it. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the arguments, always of type `object`. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

export interface LlmRequest {
  /** Names the call in the ledger; sent along as `x-client-request-id`. */
  readonly callId: string;
  /** The part of the prompt that does not change from call to call; marked for prompt caching. */
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  readonly maxOutputTokens: number;
}

export type StopReason = 'stop' | 'length' | 'tool-call' | 'refusal';

/** Who answered in the end; differs from the request's target after a fallback. */
export interface ModelId {
  readonly provider: ProviderName;
  readonly model: string;
}

export type LlmEvent =
  | { readonly type: 'text-delta'; readonly text: string }
  | { readonly type: 'thinking-delta'; readonly text: string }
  | { readonly type: 'tool-call'; readonly call: ToolCallBlock }
  /** Figures that the provider sends early (Anthropic's `message_start`). */
  | { readonly type: 'usage'; readonly model: ModelId; readonly usage: TokenUsage }
  | {
      readonly type: 'finish';
      readonly model: ModelId;
      readonly stopReason: StopReason;
      readonly message: AssistantMessage;
      /** Undefined when the provider sent no figures. */
      readonly usage: TokenUsage | undefined;
    }
  | {
      readonly type: 'error';
      readonly model: ModelId;
      readonly error: LlmFailure;
      /** What had arrived before the failure. */
      readonly message: AssistantMessage;
      readonly usage: TokenUsage | undefined;
    };

export interface LlmFailure {
  readonly code: 'provider_error' | 'provider_timeout' | 'no_api_key' | 'aborted';
  /** One short sentence for a person, such as `provider error: connection refused`. */
  readonly message: string;
  /** Whether the same request may succeed later or elsewhere. */
  readonly retryable: boolean;
  readonly status?: number;
  /** From a `retry-after` header, milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

export interface Provider {
  readonly model: ModelId;
  stream(request: LlmRequest, options: { readonly signal: AbortSignal }): AsyncIterable<LlmEvent>;
}

/** Whether an event shows a reader something: from the first one on a call is not started over. */
export function isContent({ type }: LlmEvent): boolean {
  return type === 'text-delta' || type === 'thinking-delta' || type === 'tool-call';
}
