/**
 * The stream formats of the providers, written from the server's side: Anthropic Messages, OpenAI
 * chat completions, OpenAI Responses (as far as its failures go) and Google streamGenerateContent.
 * Each writer is given one thing to say at a time and answers with the bytes for the wire. All
 * texts, ids and figures are ours.
 */
import type { TokenUsage } from '../src/store/store.ts';

export type Api = 'anthropic' | 'openai-chat' | 'openai-responses' | 'google';
export type Stop = 'stop' | 'length' | 'tool-call' | 'refusal' | 'content-filter';

export interface ToolCallReply {
  readonly name: string;
  readonly id?: string;
  /** An object is sent as JSON; a string is sent as it is, which need not be JSON. */
  readonly input?: unknown;
  readonly signature?: string;
}

/** One provider's way to say things. `usage` is what `end` (and Anthropic's `begin`) reports. */
export interface Writer {
  begin(): string;
  text(text: string): string;
  thinking(text: string, signature?: string): string;
  toolCall(call: ToolCallReply): string;
  ping(): string;
  error(type: string, message: string): string;
  end(stop: Stop, explanation: string | undefined): string;
}

export interface WriterOptions {
  readonly model: string;
  readonly number: number;
  readonly usage: TokenUsage;
  /** Whether the request asked for figures (`stream_options.include_usage`). */
  readonly includeUsage: boolean;
  /** Called with the figures at the moment they go onto the wire. */
  readonly onUsage: (usage: TokenUsage) => void;
}

export function createWriter(api: Api, options: WriterOptions): Writer {
  switch (api) {
    case 'anthropic':
      return createAnthropicWriter(options);
    case 'google':
      return createGoogleWriter(options);
    case 'openai-chat':
      return createChatWriter(options);
    case 'openai-responses':
      return createResponsesWriter(options);
    default:
      return api satisfies never;
  }
}

export interface ErrorReply {
  readonly type: string;
  readonly message: string;
  /** Google's machine-readable part of an error. */
  readonly details?: readonly object[];
}

/** The error body each provider sends with a status that is not 200. */
export function toErrorBody(api: Api, status: number, error: ErrorReply): string {
  const { type, message, details = [] } = error;
  if (api === 'anthropic') return JSON.stringify({ type: 'error', error: { type, message } });
  if (api === 'google') {
    return JSON.stringify({ error: { code: status, message, status: type, details } });
  }
  return JSON.stringify({ error: { message, type, param: null, code: null } });
}

const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const named = (type: string, rest: object = {}): string =>
  `event: ${type}\n${data({ type, ...rest })}`;
const toInput = ({ input = {} }: ToolCallReply): string =>
  typeof input === 'string' ? input : JSON.stringify(input);

function createAnthropicWriter({ model, number, usage, onUsage }: WriterOptions): Writer {
  const input = {
    input_tokens: usage.input - usage.cacheRead - usage.cacheWrite,
    cache_creation_input_tokens: usage.cacheWrite,
    cache_read_input_tokens: usage.cacheRead,
  };
  let index = -1;
  let open: 'text' | 'thinking' | undefined;
  const close = (): string => {
    const was = open;
    open = undefined;
    return was === undefined ? '' : named('content_block_stop', { index });
  };
  const start = (block: Record<string, unknown>): string => {
    const stop = close();
    index += 1;
    return stop + named('content_block_start', { index, content_block: block });
  };
  const delta = (value: Record<string, unknown>): string =>
    named('content_block_delta', { index, delta: value });
  return {
    begin() {
      onUsage({ ...usage, output: 1 });
      const message = {
        model,
        id: `msg_test${number}`,
        type: 'message',
        role: 'assistant',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...input, output_tokens: 1, service_tier: 'standard' },
      };
      return named('message_start', { message });
    },
    text(text) {
      const begin = open === 'text' ? '' : start({ type: 'text', text: '' });
      open = 'text';
      return begin + delta({ type: 'text_delta', text });
    },
    thinking(text, signature) {
      const begin = open === 'thinking' ? '' : start({ type: 'thinking', thinking: '' });
      open = 'thinking';
      const sign = signature === undefined ? '' : delta({ type: 'signature_delta', signature });
      return begin + delta({ type: 'thinking_delta', thinking: text }) + sign;
    },
    toolCall(call) {
      const id = call.id ?? `toolu_test${number}_${index + 1}`;
      const begin = start({ type: 'tool_use', id, name: call.name, input: {} });
      // As the provider does: an empty piece first, then the arguments cut anywhere.
      const text = call.input === undefined ? '' : toInput(call);
      const half = Math.ceil(text.length / 2);
      const pieces = text === '' ? [''] : ['', text.slice(0, half), text.slice(half)];
      const body = pieces.map((piece) => delta({ type: 'input_json_delta', partial_json: piece }));
      return begin + body.join('') + named('content_block_stop', { index });
    },
    ping: () => named('ping'),
    error: (type, message) => named('error', { error: { type, message } }),
    end(stop, explanation) {
      onUsage(usage);
      const reasons = { length: 'max_tokens', 'tool-call': 'tool_use', stop: 'end_turn' } as const;
      const refused = stop === 'refusal' || stop === 'content-filter';
      const change = {
        stop_reason: refused ? 'refusal' : reasons[stop],
        stop_sequence: null,
        ...(refused && { stop_details: { type: 'refusal', category: 'other', explanation } }),
      };
      const figures = { ...input, output_tokens: usage.output };
      return (
        close() + named('message_delta', { delta: change, usage: figures }) + named('message_stop')
      );
    },
  };
}

function createChatWriter(options: WriterOptions): Writer {
  const { model, number, usage, includeUsage, onUsage } = options;
  let calls = 0;
  const base = {
    id: `chatcmpl-test${number}`,
    object: 'chat.completion.chunk',
    created: 1_760_000_000,
    model,
    service_tier: 'default',
  };
  const chunk = (delta: Record<string, unknown>, reason: string | null = null): string => {
    const choice = { index: 0, delta, logprobs: null, finish_reason: reason };
    return data({ ...base, choices: [choice], ...(includeUsage && { usage: null }) });
  };
  return {
    begin: () => chunk({ role: 'assistant', content: '', refusal: null }),
    text: (content) => chunk({ content }),
    thinking: (text) => chunk({ reasoning_content: text }),
    toolCall(call) {
      const index = calls++;
      const id = call.id ?? `call_test${number}_${index}`;
      const text = call.input === undefined ? '' : toInput(call);
      const half = Math.ceil(text.length / 2);
      const begin = { name: call.name, arguments: '' };
      const piece = (part: string): string =>
        part === '' ? '' : chunk({ tool_calls: [{ index, function: { arguments: part } }] });
      return (
        chunk({ tool_calls: [{ index, id, type: 'function', function: begin }] }) +
        piece(text.slice(0, half)) +
        piece(text.slice(half))
      );
    },
    ping: () => ': keep-alive\n\n',
    error: (type, message) => data({ error: { message, type, param: null, code: null } }),
    end(stop, explanation) {
      const reasons = { length: 'length', 'tool-call': 'tool_calls', stop: 'stop' } as const;
      const filtered = stop === 'content-filter';
      const refused = stop === 'refusal';
      const reason = filtered ? 'content_filter' : refused ? 'stop' : reasons[stop];
      const figures = {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.input + usage.output,
        prompt_tokens_details: { cached_tokens: usage.cacheRead, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
      };
      if (includeUsage) onUsage({ ...usage, cacheWrite: 0 });
      return (
        (refused ? chunk({ refusal: explanation ?? 'I cannot help with that.' }) : '') +
        chunk({}, reason) +
        (includeUsage ? data({ ...base, choices: [], usage: figures }) : '') +
        'data: [DONE]\n\n'
      );
    },
  };
}

function createResponsesWriter({ model, number }: WriterOptions): Writer {
  let sequence = 0;
  const response = {
    id: `resp_test${number}`,
    object: 'response',
    created_at: 1_760_000_000,
    model,
    output: [],
    usage: null,
  };
  const send = (type: string, rest: Record<string, unknown>): string =>
    named(type, { sequence_number: sequence++, ...rest });
  const created = (type: string): string =>
    send(type, { response: { ...response, status: 'in_progress', error: null } });
  const unsupported = (): never => {
    throw new TypeError('The Responses writer knows failures only');
  };
  return {
    begin: () => created('response.created') + created('response.in_progress'),
    text: unsupported,
    thinking: unsupported,
    toolCall: unsupported,
    ping: () => ': keep-alive\n\n',
    error: (code, message) =>
      send('error', { error: { type: code, code, message, param: null } }) +
      send('response.failed', {
        response: { ...response, status: 'failed', error: { code, message } },
      }),
    end: unsupported,
  };
}

function createGoogleWriter({ model, number, usage, onUsage }: WriterOptions): Writer {
  const chunk = (part: Record<string, unknown> | undefined, rest: object = {}): string => {
    const content = part && { content: { parts: [part], role: 'model' } };
    onUsage({ ...usage, cacheWrite: 0 });
    const usageMetadata = {
      promptTokenCount: usage.input,
      candidatesTokenCount: usage.output,
      totalTokenCount: usage.input + usage.output,
      ...(usage.cacheRead > 0 && { cachedContentTokenCount: usage.cacheRead }),
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: usage.input }],
    };
    const candidates = [{ ...content, index: 0, ...rest }];
    return data({ candidates, usageMetadata, modelVersion: model, responseId: `test${number}` });
  };
  const signed = (signature: string | undefined): object =>
    signature === undefined ? {} : { thoughtSignature: signature };
  return {
    begin: () => '',
    text: (text) => chunk({ text }),
    thinking: (text, signature) => chunk({ text, thought: true, ...signed(signature) }),
    toolCall({ name, id, input, signature }) {
      const args = input === undefined ? {} : { args: input };
      const call = { name, ...(id !== undefined && { id }), ...args };
      return chunk({ functionCall: call, ...signed(signature) });
    },
    ping: () => ': keep-alive\n\n',
    error: (status, message) => data({ error: { code: 503, message, status } }),
    end(stop, explanation) {
      if (stop === 'refusal' || stop === 'content-filter') {
        const message = explanation === undefined ? {} : { finishMessage: explanation };
        return chunk(undefined, { finishReason: 'SAFETY', ...message });
      }
      return chunk({ text: '' }, { finishReason: stop === 'length' ? 'MAX_TOKENS' : 'STOP' });
    },
  };
}
