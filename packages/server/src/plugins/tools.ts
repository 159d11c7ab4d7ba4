/** The tools of loaded plugins, as an agent calls them. */
import type { ToolSpec } from '../llm/provider.ts';

export interface ToolOutcome {
  readonly content: string;
  readonly isError: boolean;
  /** The walls the call ran behind; absent when it did not run. */
  readonly walls?: readonly string[];
  readonly deniedGrant?: string;
}

export interface Tool {
  readonly spec: ToolSpec;
  /** What is wrong with these arguments, in words for the model; undefined when nothing is. */
  check(input: unknown): string | undefined;
  /** Runs in the sandbox. Never throws: a failure is an outcome with `isError`. */
  call(
    input: unknown,
    options: { readonly signal: AbortSignal; readonly session: string },
  ): Promise<ToolOutcome>;
}

export interface ToolSource {
  /** Tools of these plugins by tool name; a plugin that is not loaded has none. */
  toolsOf(plugins: readonly string[]): ReadonlyMap<string, Tool>;
}
