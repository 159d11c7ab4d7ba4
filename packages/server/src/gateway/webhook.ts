/**
 * `POST /webhook/{channel}`: a platform's payload goes through the channel's plugin, each message
 * in it to an agent, and the answers back out through the plugin. The host decides what a payload
 * proves and stamps the channel; the plugin only translates. Nothing it says when it fails leaves
 * the process, and a page it would like to serve on our origin goes out as data.
 */
import type { IncomingMessage as HttpRequest, ServerResponse } from 'node:http';
import { ExoclawError } from '../lib/error.ts';
import { createId } from '../lib/id.ts';
import type { ChannelAdapter, IncomingMessage, ParsedPayload } from '../plugins/plugins.ts';
import type { RunHandle } from '../router/dispatcher.ts';
import type { Address } from '../store/store.ts';
import { readBody } from './body.ts';
import type { GatewayContext } from './context.ts';
import { KeyedLimiter } from './limiter.ts';
import { takeMessage } from './message-rate.ts';
import { RecentKeys } from './recent-keys.ts';
import { sendError, sendJson, sendText } from './reply.ts';
import { toRpcError } from './wire-error.ts';

const MAX_CHANNELS = 1_000;
const MAX_MESSAGES = 32;
const MAX_RECENT = 50_000;
/** What a plugin may answer a handshake with: no page, no script. */
const SAFE_TYPE = /^(?:application\/json|application\/xml|text\/plain|text\/xml)\s*(?:;|$)/i;

/** What became of one message of a payload. */
type Outcome =
  | { readonly kind: 'answer'; readonly body: unknown }
  | { readonly kind: 'duplicate' }
  /** The answer takes longer than a platform waits; it goes into history. */
  | { readonly kind: 'pending' };

export class Webhooks {
  readonly #context: GatewayContext;
  readonly #limiter: KeyedLimiter;
  readonly #recent = new RecentKeys(MAX_RECENT);
  readonly #open = new Map<string, number>();
  readonly #signal: AbortSignal;

  /** @param signal Aborted when the gateway closes. */
  constructor(context: GatewayContext, signal: AbortSignal) {
    const { limits, clock } = context.options;
    this.#context = context;
    this.#limiter = new KeyedLimiter(limits.requestsPerMinute, MAX_CHANNELS, clock);
    this.#signal = signal;
  }

  /** Answers one webhook call; never rejects. */
  async handle(channel: string, request: HttpRequest, response: ServerResponse): Promise<void> {
    try {
      await this.#handle(channel, request, response);
    } catch (error) {
      const wire = toRpcError(error, this.#context.options.log);
      // An unread body would be taken for the next request.
      sendError(response, wire, request.complete ? {} : { connection: 'close' });
    }
    this.#context.metrics.count('exoclaw_webhooks_total', { status: String(response.statusCode) });
  }

  async #handle(channel: string, request: HttpRequest, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') {
      const body = { error: 'Use POST for a webhook', code: 'invalid_request' };
      sendJson(response, 405, body, { allow: 'POST' });
      return;
    }
    const adapter = this.#admit(channel);
    const limits = this.#context.options.limits;
    const open = this.#open.get(channel) ?? 0;
    if (open >= limits.inFlight) {
      throw new ExoclawError('rate_limited', `${open} calls of this webhook are open; try later`);
    }
    this.#open.set(channel, open + 1);
    const expired = new AbortController();
    const settled = new AbortController();
    const signal = AbortSignal.any([expired.signal, this.#signal]);
    void this.#expireLater(expired, settled.signal);
    try {
      const payload = await readBody(request, limits.webhookBytes);
      const parsed = await this.#parse(adapter, payload, signal);
      if (parsed.kind === 'respond') sendHandshake(response, parsed);
      else await this.#answer(adapter, parsed.messages, response, signal);
    } finally {
      settled.abort();
      const left = (this.#open.get(channel) ?? 1) - 1;
      if (left === 0) this.#open.delete(channel);
      else this.#open.set(channel, left);
    }
  }

  /** Whether this channel is listened to at all, and to a caller who proves nothing. */
  #admit(channel: string): ChannelAdapter {
    const { plugins, log } = this.#context.options;
    const adapter = plugins.findChannel(channel);
    if (adapter === undefined) throw new ExoclawError('not_found', 'No such channel');
    if (!adapter.allowUnverified) {
      log.warn(
        { channel, plugin: adapter.pluginName, verify: adapter.verify.kind },
        'refused an unverified webhook call; the plugin needs allow_unverified to take it',
      );
      throw new ExoclawError('forbidden', 'This webhook does not accept unverified calls');
    }
    if (!this.#context.isReady) {
      throw new ExoclawError('shutting_down', 'The gateway takes no messages now; try again soon');
    }
    if (!this.#limiter.take(channel)) {
      throw new ExoclawError('rate_limited', 'Too many calls of this webhook; slow down');
    }
    return adapter;
  }

  async #parse(
    adapter: ChannelAdapter,
    payload: string,
    signal: AbortSignal,
  ): Promise<ParsedPayload> {
    const parsed = await this.#askPlugin(() => adapter.parseIncoming(payload, { signal }));
    if (parsed.kind === 'messages' && parsed.messages.length > MAX_MESSAGES) {
      throw new ExoclawError('too_large', `A payload may hold ${MAX_MESSAGES} messages`);
    }
    return parsed;
  }

  async #answer(
    adapter: ChannelAdapter,
    messages: readonly IncomingMessage[],
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const accepted: (() => Promise<Outcome>)[] = [];
    // One after the other, so that the messages of a payload reach their sessions in order.
    for (const message of messages) accepted.push(await this.#accept(adapter, message, signal));
    const outcomes = await Promise.all(accepted.map((collect) => collect()));
    const [only] = outcomes;
    if (outcomes.length === 1 && only?.kind === 'answer') {
      sendJson(response, 200, only.body);
    } else if (outcomes.some(({ kind }) => kind === 'answer')) {
      const replies = outcomes.flatMap((outcome) =>
        outcome.kind === 'answer' ? [outcome.body] : [],
      );
      sendJson(response, 200, { ok: true, replies });
    } else if (outcomes.some(({ kind }) => kind === 'pending')) {
      sendJson(response, 202, { ok: true, pending: true });
    } else {
      sendJson(response, 200, outcomes.length === 0 ? { ok: true } : { ok: true, duplicate: true });
    }
  }

  /** Hands a message over. @returns what waits for its answer. */
  async #accept(
    adapter: ChannelAdapter,
    message: IncomingMessage,
    signal: AbortSignal,
  ): Promise<() => Promise<Outcome>> {
    const { guild, team, account, peer, messageId } = message;
    const address: Address = {
      channel: adapter.channel,
      account,
      peer,
      ...(guild === undefined ? {} : { guild }),
      ...(team === undefined ? {} : { team }),
    };
    const key =
      messageId === undefined
        ? undefined
        : JSON.stringify([adapter.channel, account, peer, messageId]);
    if (key !== undefined && !this.#recent.add(key)) return async () => ({ kind: 'duplicate' });
    try {
      takeMessage(this.#context, address);
      const run = await this.#context.options.dispatcher.send({
        address,
        content: message.content,
        ...(messageId === undefined ? {} : { messageId }),
      });
      return () => this.#collect(adapter, message, run, signal);
    } catch (error) {
      // Not accepted, so the platform's next try is the first one again.
      if (key !== undefined) this.#recent.delete(key);
      throw error;
    }
  }

  async #collect(
    adapter: ChannelAdapter,
    message: IncomingMessage,
    run: RunHandle,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const content = await collectText(run, signal);
    if (content === undefined) return { kind: 'pending' };
    const answer = { content, to: message };
    const body = await this.#askPlugin(() => adapter.formatOutgoing(answer, { signal }));
    return { kind: 'answer', body };
  }

  /** A plugin's failure as its caller may see it; the log has the plugin's own words. */
  async #askPlugin<Result>(ask: () => Promise<Result>): Promise<Result> {
    try {
      return await ask();
    } catch (error) {
      const id = createId('err');
      this.#context.options.log.error({ err: error, id }, 'channel plugin failed');
      throw new ExoclawError('plugin_error', `The channel plugin failed (id ${id})`);
    }
  }

  async #expireLater(expired: AbortController, settled: AbortSignal): Promise<void> {
    const { clock, limits } = this.#context.options;
    try {
      await clock.sleep(limits.webhookWaitSeconds * 1000, { signal: settled });
      expired.abort();
    } catch {
      // The call was answered in time.
    }
  }
}

/**
 * The answer of a run; undefined when the signal ended the wait.
 * @throws {ExoclawError} what the run failed with.
 */
async function collectText(run: RunHandle, signal: AbortSignal): Promise<string | undefined> {
  let text = '';
  for await (const { event } of run.events({ signal })) {
    if (event.type === 'text-delta') text += event.text;
    if (event.type === 'run-start') text = '';
    if (event.type === 'run-error') throw new ExoclawError(event.code, event.message);
    if (event.type === 'run-end') return text;
  }
  return undefined;
}

function sendHandshake(
  response: ServerResponse,
  { status, headers, body }: Extract<ParsedPayload, { kind: 'respond' }>,
): void {
  const type = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  const isSafe = type !== undefined && SAFE_TYPE.test(type) && !/[^\x20-\x7e]/.test(type);
  // A redirect or an informational status is not the plugin's to send.
  const isPlain = Number.isInteger(status) && (Math.floor(status / 100) === 2 || status >= 400);
  sendText(
    response,
    isPlain && status < 600 ? status : 200,
    body,
    isSafe ? { 'content-type': type } : {},
  );
}
