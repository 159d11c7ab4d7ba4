/**
 * What an agent remembers: it turns a message into the context that is sent, and learns from what
 * was said. The run loop knows this interface only, so that an engine that recalls by meaning can
 * take the place of one that takes the last turns.
 */
import type { Message } from '../store/store.ts';

export interface ContextRequest {
  readonly agentId: string;
  readonly sessionKey: string;
  /** The run whose user message is to be answered; it is in history already. */
  readonly runId: string;
  /** Fixed text in front of everything: the agent's instructions. */
  readonly systemPrompt: string;
  /** Path of the agent's soul file, if it has one. */
  readonly soulPath: string | undefined;
  /** Tokens the tool schemas take. */
  readonly toolTokens: number;
  /** Upper bound of the whole context, tools and soul included. */
  readonly maxTokens: number;
  readonly nowMs: number;
}

/** Tokens each part takes, by the same counter that reserves budgets. */
export interface ContextParts {
  readonly soul: number;
  readonly facts: number;
  readonly recall: number;
  readonly window: number;
  readonly tools: number;
}

export interface Context {
  readonly system: string;
  /** History up to and including the message to answer; valid for every provider. */
  readonly messages: readonly Message[];
  readonly parts: ContextParts;
}

export interface Memory {
  assemble(request: ContextRequest): Promise<Context>;
}
