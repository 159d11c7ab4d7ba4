/**
 * Run events → what goes over the wire. A stream of one run ends with that run; a watch goes on
 * over many runs, so there the end of a run is an event like any other.
 */
import type { StreamEvent } from '@exoclaw/protocol';
import type { RunEvent } from '../agent/events.ts';

const NANO_USD_PER_USD = 1e9;

/** The event that the sender of a message sees, if this one is for its eyes. */
export function toStreamEvent(event: RunEvent, seq: number): StreamEvent | undefined {
  switch (event.type) {
    case 'run-start':
      return event.attempt > 1
        ? { event: 'restart', data: { attempt: event.attempt }, seq }
        : undefined;
    case 'run-error':
      return { event: 'error', data: event.message, code: event.code, seq };
    case 'run-end':
      return { event: 'done', seq };
    default:
      return toContentEvent(event, seq);
  }
}

type ContentEvent = Exclude<RunEvent, { type: 'run-start' | 'run-error' | 'run-end' }>;

function toContentEvent(event: ContentEvent, seq: number): StreamEvent {
  switch (event.type) {
    case 'text-delta':
      return { event: 'text', data: event.text, seq };
    case 'tool-call':
      return {
        event: 'tool_use',
        data: { id: event.id, name: event.name, input: event.input },
        seq,
      };
    case 'tool-result':
      return {
        event: 'tool_result',
        data: {
          tool_use_id: event.id,
          content: event.content,
          is_error: event.isError,
          duration_ms: event.durationMs,
          ...(event.walls === undefined ? {} : { walls: [...event.walls] }),
          ...(event.deniedGrant === undefined ? {} : { denied: { grant: event.deniedGrant } }),
        },
        seq,
      };
    default:
      return {
        event: 'usage',
        data: {
          input_tokens: event.usage.input,
          output_tokens: event.usage.output,
          cached_tokens: event.usage.cacheRead,
          cost_usd: event.costNanoUsd / NANO_USD_PER_USD,
          duration_ms: event.durationMs,
          estimated: event.estimated,
          ...(event.context === undefined ? {} : { context: { ...event.context } }),
        },
        seq,
      };
  }
}

/** Maps the events of a session for one watcher; remembers a run's error until the run ends. */
export class WatchMapper {
  #error: { readonly code: string; readonly message: string } | undefined;

  map(runId: string, event: RunEvent, seq: number): readonly StreamEvent[] {
    switch (event.type) {
      case 'run-start': {
        this.#error = undefined;
        const restart = toStreamEvent(event, seq);
        return [
          { event: 'message', data: { role: 'user', content: event.content, run: runId }, seq },
          ...(restart === undefined ? [] : [restart]),
        ];
      }
      case 'run-error':
        this.#error = { code: event.code, message: event.message };
        return [];
      case 'run-end':
        return [
          {
            event: 'end',
            data: {
              run: runId,
              stop_reason: event.stopReason,
              ...(this.#error === undefined ? {} : { error: this.#error }),
            },
            seq,
          },
        ];
      default:
        return [toContentEvent(event, seq)];
    }
  }
}
