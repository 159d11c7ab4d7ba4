/**
 * Our messages and tools in the shape the AI SDK takes. What a provider wants back with a block
 * (a thinking signature, say) goes back to that provider and to no other; whatever another one
 * would refuse (an empty text, a foreign thinking block, arguments that are no object) is left out
 * or wrapped, so that a history stays usable when a session changes its provider.
 */
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ToolResultPart,
  SharedV4ProviderOptions,
} from '@ai-sdk/provider';
import type {
  AssistantMessage,
  ProviderMetadata,
  ToolCallBlock,
  ToolResultMessage,
} from '../store/store.ts';
import type { LlmRequest, ToolSpec } from './provider.ts';
import type { HttpProviderName } from './target.ts';

type AssistantContent = Extract<LanguageModelV4Message, { role: 'assistant' }>['content'];

/** Marks the end of a prefix that the provider should keep; Anthropic takes four at most. */
const CACHE_MARK: SharedV4ProviderOptions = {
  anthropic: { cacheControl: { type: 'ephemeral' } },
};

/** The key under which each provider's blocks carry their metadata. */
const NAMESPACE: Record<HttpProviderName, string> = {
  anthropic: 'anthropic',
  openai: 'openai',
  google: 'google',
  ollama: 'compatible',
  'openai-compatible': 'compatible',
};

/** Prompt, tools and provider options of one call. */
export function toCallOptions(
  request: LlmRequest,
  provider: HttpProviderName,
): Pick<
  LanguageModelV4CallOptions,
  'prompt' | 'tools' | 'maxOutputTokens' | 'headers' | 'providerOptions'
> {
  const marked = provider === 'anthropic';
  const prompt = toPrompt(request, provider);
  if (marked) markHistory(prompt);
  return {
    prompt,
    maxOutputTokens: request.maxOutputTokens,
    headers: { 'x-client-request-id': request.callId },
    ...(request.tools.length > 0 && { tools: toTools(request.tools, marked) }),
    // Tool input is used whole, so the provider may validate it first; pings are signs of life.
    ...(marked && { providerOptions: { anthropic: { toolStreaming: false, includePings: true } } }),
  };
}

function toTools(tools: readonly ToolSpec[], marked: boolean): LanguageModelV4FunctionTool[] {
  return tools.map(({ name, description, inputSchema }, index) => ({
    type: 'function',
    name,
    description,
    inputSchema,
    ...(marked && index === tools.length - 1 && { providerOptions: CACHE_MARK }),
  }));
}

function toPrompt(request: LlmRequest, provider: HttpProviderName): LanguageModelV4Prompt {
  const prompt: LanguageModelV4Prompt = [];
  if (request.system !== '') {
    const mark = provider === 'anthropic' && { providerOptions: CACHE_MARK };
    prompt.push({ role: 'system', content: request.system, ...mark });
  }
  for (const message of request.messages) {
    switch (message.role) {
      case 'user':
        prompt.push({ role: 'user', content: [{ type: 'text', text: message.content }] });
        break;
      case 'assistant': {
        const content = toAssistantContent(message, provider);
        if (content.length > 0) prompt.push({ role: 'assistant', content });
        break;
      }
      case 'tool-result': {
        // Results of calls made together belong into one message.
        const part = toToolResult(message, provider);
        const last = prompt.at(-1);
        if (last?.role === 'tool') last.content.push(part);
        else prompt.push({ role: 'tool', content: [part] });
        break;
      }
      default:
        message satisfies never;
    }
  }
  return prompt;
}

function toAssistantContent(
  message: AssistantMessage,
  provider: HttpProviderName,
): AssistantContent {
  const content: AssistantContent = [];
  for (const block of message.content) {
    const options = toProviderOptions(block.metadata, provider);
    if (block.type === 'tool-call') {
      content.push({
        type: 'tool-call',
        toolCallId: toToolCallId(block.id, provider),
        toolName: block.name,
        input: toToolInput(block),
        ...options,
      });
    } else if (block.type === 'text') {
      if (block.text !== '' || options)
        content.push({ type: 'text', text: block.text, ...options });
    } else if (options || NAMESPACE[provider] === 'compatible') {
      content.push({ type: 'reasoning', text: block.text, ...options });
    }
  }
  return content;
}

function toToolResult(
  message: ToolResultMessage,
  provider: HttpProviderName,
): LanguageModelV4ToolResultPart {
  // Anthropic and Google have a field for a failed call, chat completions have only the text.
  const hasErrorField = provider === 'anthropic' || provider === 'google';
  const value = message.isError && !hasErrorField ? `Error: ${message.content}` : message.content;
  return {
    type: 'tool-result',
    toolCallId: toToolCallId(message.toolCallId, provider),
    toolName: message.name,
    output: { type: message.isError ? 'error-text' : 'text', value },
  };
}

/** Anthropic refuses ids with other characters, which some local servers hand out. */
function toToolCallId(id: string, provider: HttpProviderName): string {
  return provider === 'anthropic' ? id.replace(/[^a-zA-Z0-9_-]/g, '_') : id;
}

function toToolInput(call: ToolCallBlock): unknown {
  const { input } = call;
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
  return isObject ? input : { invalid: input };
}

function toProviderOptions(
  metadata: ProviderMetadata | undefined,
  provider: HttpProviderName,
): { providerOptions: SharedV4ProviderOptions } | undefined {
  const namespace = NAMESPACE[provider];
  const own = metadata?.[namespace];
  if (own === undefined) return undefined;
  // It came from the SDK as JSON and went through the store as JSON.
  return { providerOptions: { [namespace]: own } as SharedV4ProviderOptions };
}

/**
 * Two marks besides those on tools and system: at the end, for the next call to read, and where
 * the previous call of this run ended, which the provider would not find again by itself behind a
 * step with many tool calls.
 */
function markHistory(prompt: LanguageModelV4Prompt): void {
  const lastAnswer = prompt.findLastIndex((message) => message.role === 'assistant');
  for (const message of [prompt.at(-1), lastAnswer > 0 ? prompt[lastAnswer - 1] : undefined]) {
    if (message !== undefined && message.role !== 'system') message.providerOptions = CACHE_MARK;
  }
}
