/** The events of a run that has ended, made from what the store kept of it. */
import { isErrorCode } from '@exoclaw/protocol';
import type { RunEvent } from '../agent/events.ts';
import type { RunRecord, Store } from '../store/store.ts';

/** What a listener of the run would have heard, with each answer's text in one piece. */
export async function replayRun(
  store: Pick<Store, 'readRun' | 'sumUsage'>,
  run: RunRecord,
): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = [];
  for (const { message } of await store.readRun(run.id)) {
    if (message.role === 'user') {
      const { content } = message;
      events.push({ type: 'run-start', content, attempt: 1 });
    } else if (message.role === 'tool-result') {
      const { toolCallId: id, name, content, isError } = message;
      events.push({ type: 'tool-result', id, name, content, isError, durationMs: 0 });
    } else {
      for (const block of message.content) {
        if (block.type === 'text') events.push({ type: 'text-delta', text: block.text });
        if (block.type === 'tool-call') {
          const { id, name, input } = block;
          events.push({ type: 'tool-call', id, name, input });
        }
      }
    }
  }
  const [total] = await store.sumUsage({ runId: run.id });
  if (total !== undefined && total.calls > 0) {
    const { input, output, cacheRead, cacheWrite, costNanoUsd, estimated } = total;
    events.push({
      type: 'usage',
      usage: { input, output, cacheRead, cacheWrite },
      costNanoUsd,
      estimated,
      durationMs: (run.endedAtMs ?? run.startedAtMs) - run.startedAtMs,
      context: undefined,
    });
  }
  if (run.error !== undefined) {
    const { code, message } = run.error;
    events.push({ type: 'run-error', code: isErrorCode(code) ? code : 'internal', message });
  }
  events.push({ type: 'run-end', stopReason: toStopReason(run) });
  return events;
}

function toStopReason(run: RunRecord) {
  if (run.state === 'aborted') return 'aborted' as const;
  return run.error === undefined ? ('stop' as const) : ('error' as const);
}
