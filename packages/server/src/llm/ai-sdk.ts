/**
 * Asks a provider over the AI SDK's packages: `doStream` directly, so that retry, time-outs and
 * fall-back are ours alone. One call is one HTTP request. Its stream parts become our events; it
 * ends with one `finish` or `error`, and leaving the loop over it cancels the request.
 */
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import { systemClock, type Clock } from '../lib/clock.ts';
import { Answer, toEarlyUsage, toRefusalText, toTokenUsage } from './answer.ts';
import { aborted, CUT, LlmTimeout, MALFORMED, providerFailure, toFailure } from './failure.ts';
import { createHttpFetch } from './http-fetch.ts';
import { toCallOptions } from './prompt.ts';
import type { LlmEvent, LlmFailure, LlmRequest, ModelId, Provider } from './provider.ts';
import { openSdkModel } from './sdk-model.ts';
import {
  DEFAULT_TIMEOUTS,
  needsApiKey,
  resolveBaseUrl,
  type HttpProviderName,
  type ProviderConfig,
  type Timeouts,
} from './target.ts';
import { Watchdog } from './watchdog.ts';

export interface ProviderDeps {
  readonly clock?: Clock;
  /** In place of our own; the connect time-out is then that function's business. */
  readonly fetch?: typeof fetch;
}

export type HttpProviderConfig = ProviderConfig & { readonly provider: HttpProviderName };

/** How the SDK's stream ended, when it did not end by itself as it should. */
type Ending = { readonly failure: LlmFailure } | { readonly finish: FinishPart };
type FinishPart = Extract<LanguageModelV4StreamPart, { type: 'finish' }>;

/**
 * A provider reached over HTTP. Nothing is imported or connected before the first stream.
 * @throws {ExoclawError} config_error when the base URL cannot be used.
 */
export function createProvider(config: HttpProviderConfig, deps: ProviderDeps = {}): Provider {
  const { provider, apiKey } = config;
  const clock = deps.clock ?? systemClock;
  const model: ModelId = { provider, model: config.model };
  const timeouts: Timeouts = { ...DEFAULT_TIMEOUTS, ...config.timeouts };
  const baseUrl = resolveBaseUrl(provider, config.baseUrl);
  const fetch = deps.fetch ?? createHttpFetch({ clock, connectMs: timeouts.connectMs });
  let opened: LanguageModelV4 | undefined;

  const call: Call = {
    model,
    clock,
    timeouts,
    toFailure: (error) => toFailure(error, { apiKey, nowMs: clock.now() }),
    start: async (request, signal) => {
      const key = apiKey?.reveal() ?? '';
      opened ??= await openSdkModel({ provider, model: model.model, baseUrl, apiKey: key, fetch });
      const options: LanguageModelV4CallOptions = toCallOptions(request, provider);
      const { stream } = await opened.doStream({ ...options, abortSignal: signal });
      // Too late: nobody waits for it any more.
      if (signal.aborted) await stream.cancel();
      return stream.getReader();
    },
  };
  return {
    model,
    stream: (request, { signal }) =>
      apiKey === undefined && needsApiKey(provider)
        ? streamNoKey(model)
        : streamCall(call, request, signal),
  };
}

interface Call {
  readonly model: ModelId;
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly toFailure: (error: unknown) => LlmFailure;
  readonly start: (
    request: LlmRequest,
    signal: AbortSignal,
  ) => Promise<ReadableStreamDefaultReader<LanguageModelV4StreamPart>>;
}

async function* streamNoKey(model: ModelId): AsyncGenerator<LlmEvent> {
  const message = `no API key for provider "${model.provider}": add one with \`exoclaw onboard\``;
  const error: LlmFailure = { code: 'no_api_key', message, retryable: false };
  yield {
    type: 'error',
    model,
    error,
    message: { role: 'assistant', content: [] },
    usage: undefined,
  };
}

async function* streamCall(
  call: Call,
  request: LlmRequest,
  signal: AbortSignal,
): AsyncGenerator<LlmEvent> {
  const answer = new Answer();
  const ending = yield* streamParts(call, request, signal, answer);
  const { model } = call;
  if ('finish' in ending) {
    const stopReason = answer.toStopReason(ending.finish.finishReason);
    if (stopReason !== undefined) {
      if (stopReason === 'refusal' && !answer.hasText)
        yield answer.say(toRefusalText(ending.finish));
      const message = answer.toMessage();
      yield { type: 'finish', model, stopReason, message, usage: answer.usage };
      return;
    }
  }
  const error = 'failure' in ending ? ending.failure : toUnfinished(ending.finish);
  const message = answer.toMessage(error.code === 'aborted' ? 'aborted' : 'error');
  yield { type: 'error', model, error, message, usage: answer.usage };
}

/** Yields what the provider says until it ends; releases the connection whichever way it ends. */
async function* streamParts(
  call: Call,
  request: LlmRequest,
  signal: AbortSignal,
  answer: Answer,
): AsyncGenerator<LlmEvent, Ending> {
  const { timeouts } = call;
  if (signal.aborted) return { failure: aborted(signal.reason) };
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  using watchdog = new Watchdog(call.clock, timeouts, (sentence) =>
    stop.abort(new LlmTimeout(sentence)),
  );

  let reader: ReadableStreamDefaultReader<LanguageModelV4StreamPart> | undefined;
  let ending: Ending | undefined;
  let speaking = false;
  try {
    reader = await Promise.race([call.start(request, stop.signal), rejectOnAbort(stop.signal)]);
    const cancel = (): void => void reader?.cancel().catch(ignore);
    stop.signal.addEventListener('abort', cancel, { once: true });
    while (!stop.signal.aborted) {
      const { done, value: part } = await reader.read();
      if (done || stop.signal.aborted) break;
      if (speaking) watchdog.touch();
      else if (opensContent(part)) {
        speaking = true;
        watchdog.expectSilenceBelow(timeouts.silenceMs);
      }
      switch (part.type) {
        case 'text-start':
        case 'text-delta':
        case 'text-end':
        case 'reasoning-start':
        case 'reasoning-delta':
        case 'reasoning-end':
        case 'tool-call': {
          const event = answer.take(part);
          if (event !== undefined) yield event;
          break;
        }
        case 'custom': {
          const usage = toEarlyUsage(part);
          answer.usage = usage;
          if (usage !== undefined) yield { type: 'usage', model: call.model, usage };
          break;
        }
        case 'error': {
          // A chunk of a shape the SDK does not know may be followed by the error it announces.
          const failure = call.toFailure(part.error);
          ending = { failure };
          if (!failure.message.endsWith(MALFORMED)) return ending;
          break;
        }
        case 'finish':
          answer.usage = toTokenUsage(part.usage);
          return (ending ??= { finish: part });
        default:
      }
    }
    ending ??= { failure: providerFailure(CUT, { retryable: true }) };
  } catch (error) {
    ending ??= { failure: call.toFailure(error) };
  } finally {
    signal.removeEventListener('abort', onAbort);
    // After `finish` the connection is as good as free; in every other case it is of no more use.
    if (ending !== undefined && 'finish' in ending) void reader?.cancel().catch(ignore);
    else stop.abort();
  }
  if (signal.aborted) return { failure: aborted(signal.reason) };
  const { reason } = stop.signal;
  return reason instanceof LlmTimeout ? { failure: call.toFailure(reason) } : ending;
}

function toUnfinished({ finishReason }: FinishPart): LlmFailure {
  if (finishReason.unified === 'interrupted') return providerFailure(CUT, { retryable: true });
  const reason = finishReason.raw ?? 'no reason given';
  return providerFailure(`the answer ended with a failure (${reason})`, { retryable: true });
}

function opensContent({ type }: LanguageModelV4StreamPart): boolean {
  return type.startsWith('text-') || type.startsWith('reasoning-') || type.startsWith('tool-');
}

async function rejectOnAbort(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return promise;
}

function ignore(): void {
  // Nobody waits for the outcome of a cancellation.
}
