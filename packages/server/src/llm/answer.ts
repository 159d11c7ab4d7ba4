/**
 * Puts one answer together from the AI SDK's stream parts: blocks in the order they were opened,
 * each with the metadata the provider wants to see again, and the usage figures as they come.
 */
import type { LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider';
import type {
  AssistantMessage,
  ProviderMetadata,
  TextBlock,
  ThinkingBlock,
  TokenUsage,
  ToolCallBlock,
} from '../store/store.ts';
import type { LlmEvent, StopReason } from './provider.ts';

type Part<T extends LanguageModelV4StreamPart['type']> = Extract<
  LanguageModelV4StreamPart,
  { type: T }
>;
type Finish = Part<'finish'>;
type BlockPart = Part<`${'text' | 'reasoning'}-${'start' | 'delta' | 'end'}`>;

/** A text or thinking block that still grows. */
interface OpenBlock {
  readonly type: 'text' | 'thinking';
  text: string;
  metadata?: ProviderMetadata;
}

export class Answer {
  readonly #blocks: (OpenBlock | ToolCallBlock)[] = [];
  readonly #open = new Map<string, OpenBlock>();
  #usage: TokenUsage | undefined;

  get usage(): TokenUsage | undefined {
    return this.#usage;
  }

  set usage(usage: TokenUsage | undefined) {
    this.#usage = usage ?? this.#usage;
  }

  /** Takes a part in. @returns the event it is for the reader, if it is one. */
  take(part: BlockPart | Part<'tool-call'>): LlmEvent | undefined {
    switch (part.type) {
      case 'text-start':
      case 'text-end':
        this.#grow('text', part, '');
        return undefined;
      case 'reasoning-start':
      case 'reasoning-end':
        this.#grow('thinking', part, '');
        return undefined;
      case 'text-delta':
        this.#grow('text', part, part.delta);
        return part.delta === '' ? undefined : { type: 'text-delta', text: part.delta };
      case 'reasoning-delta':
        this.#grow('thinking', part, part.delta);
        return part.delta === '' ? undefined : { type: 'thinking-delta', text: part.delta };
      case 'tool-call': {
        const call = toToolCall(part);
        this.#blocks.push(call);
        return { type: 'tool-call', call };
      }
      default:
        return part satisfies never;
    }
  }

  /** Adds text of our own, when the provider stopped without a word. */
  say(text: string): LlmEvent {
    this.#blocks.push({ type: 'text', text });
    return { type: 'text-delta', text };
  }

  get hasText(): boolean {
    return this.#blocks.some((block) => block.type === 'text' && block.text !== '');
  }

  /** What has arrived so far. */
  toMessage(stopped?: AssistantMessage['stopped']): AssistantMessage {
    const content: (TextBlock | ThinkingBlock | ToolCallBlock)[] = [];
    for (const block of this.#blocks) {
      if (block.type === 'tool-call' || block.text !== '' || block.metadata !== undefined) {
        content.push(block);
      }
    }
    return { role: 'assistant', content, ...(stopped && { stopped }) };
  }

  /** Why the provider says it stopped; undefined when it did not end the answer. */
  toStopReason({ unified }: Finish['finishReason']): StopReason | undefined {
    switch (unified) {
      case 'length':
        return 'length';
      case 'content-filter':
        return 'refusal';
      case 'error':
      case 'interrupted':
        return undefined;
      case 'stop':
      case 'tool-calls':
      case 'other':
        // Some servers say `stop` after tool calls.
        return this.#blocks.some((block) => block.type === 'tool-call') ? 'tool-call' : 'stop';
      default:
        return unified satisfies never;
    }
  }

  #grow(type: OpenBlock['type'], part: BlockPart, text: string): void {
    const key = `${type}:${part.id}`;
    let block = this.#open.get(key);
    if (block === undefined) {
      block = { type, text: '' };
      this.#open.set(key, block);
      this.#blocks.push(block);
    }
    block.text += text;
    if (part.providerMetadata !== undefined) {
      block.metadata = mergeMetadata(block.metadata, part.providerMetadata);
    }
    if (part.type === 'text-end' || part.type === 'reasoning-end') this.#open.delete(key);
  }
}

function mergeMetadata(
  old: ProviderMetadata | undefined,
  more: ProviderMetadata,
): ProviderMetadata {
  const merged: Record<string, Record<string, unknown>> = { ...old };
  for (const [provider, values] of Object.entries(more)) {
    merged[provider] = { ...merged[provider], ...values };
  }
  return merged;
}

function toToolCall(part: Part<'tool-call'>): ToolCallBlock {
  return {
    type: 'tool-call',
    id: part.toolCallId,
    name: part.toolName,
    input: parseInput(part.input),
    ...(part.providerMetadata && { metadata: part.providerMetadata }),
  };
}

/** Models call a tool without arguments with no input at all as often as with `{}`. */
function parseInput(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @returns undefined when the provider sent no figures. */
export function toTokenUsage(usage: LanguageModelV4Usage): TokenUsage | undefined {
  const { inputTokens, outputTokens } = usage;
  if (inputTokens.total === undefined && outputTokens.total === undefined) return undefined;
  return {
    input: inputTokens.total ?? 0,
    output: outputTokens.total ?? 0,
    cacheRead: inputTokens.cacheRead ?? 0,
    cacheWrite: inputTokens.cacheWrite ?? 0,
  };
}

/** The figures of Anthropic's `message_start`, which the SDK passes on as a part of its own. */
export function toEarlyUsage(part: Part<'custom'>): TokenUsage | undefined {
  if (part.kind !== 'anthropic.message_start') return undefined;
  const usage = toRecord(part.providerMetadata?.['anthropic']?.['usage']);
  if (usage === undefined) return undefined;
  const figure = (name: string): number => (typeof usage[name] === 'number' ? usage[name] : 0);
  const cacheRead = figure('cache_read_input_tokens');
  const cacheWrite = figure('cache_creation_input_tokens');
  const input = figure('input_tokens') + cacheRead + cacheWrite;
  return { input, output: figure('output_tokens'), cacheRead, cacheWrite };
}

/** Why an answer was refused, in the provider's words where it gives any. */
export function toRefusalText(finish: Finish): string {
  const details = toRecord(finish.providerMetadata?.['anthropic']?.['stopDetails']);
  if (typeof details?.['explanation'] === 'string') return details['explanation'];
  const message = finish.providerMetadata?.['google']?.['finishMessage'];
  if (typeof message === 'string') return message;
  const reason = finish.finishReason.raw;
  return `The provider declined to answer this request${reason === undefined ? '' : ` (${reason})`}.`;
}

function toRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null ? { ...value } : undefined;
}
