/**
 * What happens in a run, in order: `run-start`, then any number of the others, then exactly one
 * `run-end`, which a `run-error` may precede. Deltas carry only what is new.
 */
import type { ErrorCode } from '@exoclaw/protocol';
import type { ContextParts } from '../memory/memory.ts';
import type { TokenUsage } from '../store/store.ts';

export type RunStopReason =
  /** The model gave its final answer. */
  | 'stop'
  /** The model's output limit. */
  | 'length'
  | 'refusal'
  /** A limit of the run: steps, time, repeated calls. */
  | 'limit'
  | 'aborted'
  | 'error';

export type RunEvent =
  | {
      readonly type: 'run-start';
      readonly content: string;
      /** 1 for the first try; higher when an earlier process died in the middle of this run. */
      readonly attempt: number;
    }
  | { readonly type: 'text-delta'; readonly text: string }
  | {
      readonly type: 'tool-call';
      readonly id: string;
      readonly name: string;
      readonly input: unknown;
    }
  | {
      readonly type: 'tool-result';
      readonly id: string;
      readonly name: string;
      readonly content: string;
      readonly isError: boolean;
      readonly durationMs: number;
      /** The walls the call really ran behind; absent when it did not run. */
      readonly walls?: readonly string[];
      /** The exact grant that would have allowed what was refused. */
      readonly deniedGrant?: string;
    }
  | {
      readonly type: 'usage';
      /** Sum over all model calls of the run. */
      readonly usage: TokenUsage;
      readonly costNanoUsd: number;
      readonly estimated: boolean;
      readonly durationMs: number;
      /** What the last context was made of; unknown when the run is told from the store. */
      readonly context: ContextParts | undefined;
    }
  | { readonly type: 'run-error'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'run-end'; readonly stopReason: RunStopReason };
