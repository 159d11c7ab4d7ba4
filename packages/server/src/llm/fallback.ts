/**
 * Lets a second provider answer when the first one fails before its first content, whatever the
 * reason: an outage, a missing key, a model it does not know. Events carry the name of who spoke.
 */
import { isContent, type LlmEvent, type LlmRequest, type Provider } from './provider.ts';

type ErrorEvent = Extract<LlmEvent, { type: 'error' }>;

export function withFallback(primary: Provider, fallback: Provider): Provider {
  return {
    model: primary.model,
    stream: (request, { signal }) => streamWithFallback(primary, fallback, request, signal),
  };
}

async function* streamWithFallback(
  primary: Provider,
  fallback: Provider,
  request: LlmRequest,
  signal: AbortSignal,
): AsyncGenerator<LlmEvent> {
  let spoken = false;
  let failed: ErrorEvent | undefined;
  for await (const event of primary.stream(request, { signal })) {
    if (event.type === 'error' && !spoken && event.error.code !== 'aborted') {
      failed = event;
      break;
    }
    spoken ||= isContent(event);
    yield event;
  }
  if (failed === undefined) return;
  for await (const event of fallback.stream(request, { signal })) {
    const both = event.type === 'error' && event.error.code !== 'aborted';
    yield both ? joinErrors(failed, event) : event;
  }
}

/** The person has to know of both: the first is what they configured, the second the last resort. */
function joinErrors(primary: ErrorEvent, fallback: ErrorEvent): ErrorEvent {
  const { provider, model } = fallback.model;
  const message = `${primary.error.message}; fallback ${provider}/${model}: ${fallback.error.message}`;
  return { ...fallback, error: { ...fallback.error, message } };
}
