/** An agent as the run loop needs it: who answers, with which instructions, tools and limits. */
import type { Provider } from '../llm/provider.ts';

export interface Agent {
  readonly id: string;
  readonly provider: Provider;
  readonly systemPrompt: string;
  readonly soulPath: string | undefined;
  /** Names of the plugins whose tools it may use; nothing else is offered to the model. */
  readonly plugins: readonly string[];
  readonly maxOutputTokens: number;
  /** Upper bound of what is sent to the model, tool schemas and soul included. */
  readonly contextTokens: number;
}

/** Bounds of one run. */
export interface RunLimits {
  readonly maxModelCalls: number;
  /** Tool calls of one answer that run at the same time; more are refused, not queued. */
  readonly maxParallelTools: number;
  /** The same tool with the same arguments this often in a row ends the run. */
  readonly maxRepeats: number;
  readonly maxMs: number;
}

export const DEFAULT_RUN_LIMITS: RunLimits = {
  maxModelCalls: 25,
  maxParallelTools: 10,
  maxRepeats: 3,
  maxMs: 10 * 60_000,
};
